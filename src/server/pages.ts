/** @file Splits lists into pages, as OpenAI's clients read them. */
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

/** The query of a list; `most`: most items of a page, `usual`: the default. */
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

/** Returns the requested part of a list, after the item `after`. @throws ApiError 400 */
export function pageOf<T extends Listed>({ after, limit }: AskedPart, items: readonly T[]) {
  const place = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  const isThere = after === undefined || place > 0;
  return toPage({ after, limit }, isThere ? items.slice(place, place + limit + 1) : null);
}

/** Makes a page of the items after `after`, given one more than fits on it; null: there is no item `after`. @throws ApiError 400 */
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
