/** @file Cuts lists into pages, as OpenAI's clients read them. */
import { z } from "zod";
import { invalidValue } from "./api-error.ts";

interface Listed {
  readonly id: string;
}

/** The part of a list that a request asks for. */
export interface AskedPart {
  readonly after?: string | undefined;
  readonly limit: number;
}

/** What the address of a list may say, with the most items of a page and how many they are unless said. */
function pageQuery(most: number, usual: number) {
  return {
    after: z.string().optional().describe("Id of the item after which the page begins"),
    limit: z.coerce
      .number()
      .int()
      .min(1)
      .max(most)
      .default(usual)
      .describe("Maximum number of items per page"),
  };
}

/** The query that asks for a page, with OpenAI's names and defaults. */
export const PAGE_QUERY = z.looseObject(pageQuery(100, 20));
export const FILE_QUERY = z.looseObject({
  ...pageQuery(10_000, 10_000),
  purpose: z.string().optional().describe("Only files with this purpose"),
  order: z.enum(["asc", "desc"]).default("desc").describe("desc: newest first"),
});

/** The part of a list that a request asks for, the items behind `after`. @throws ApiError 400 */
export function pageOf<T extends Listed>({ after, limit }: AskedPart, items: readonly T[]) {
  const place = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  const isThere = after === undefined || place > 0;
  return toPage({ after, limit }, isThere ? items.slice(place, place + limit + 1) : null);
}

/** Makes a page of the items behind `after`, of one more than may be on it; null: `after` is none. @throws ApiError 400 */
export function toPage<T extends Listed>({ after, limit }: AskedPart, items: readonly T[] | null) {
  if (items === null) {
    throw invalidValue(`There is no "${after}" in the list`, "after");
  }
  const data = items.slice(0, limit);
  return {
    object: "list" as const,
    data,
    has_more: items.length > limit,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
