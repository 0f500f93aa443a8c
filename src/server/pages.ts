/** @file Lists in parts, as OpenAI's clients read them. */
import type { Context } from "hono";
import { ApiError } from "./api-error.ts";

interface Listed {
  readonly id: string;
}

export interface AskedPart {
  readonly after: string | undefined;
  readonly limit: number;
}

/** As clients read it. */
export interface Page<T> {
  readonly object: "list";
  readonly data: readonly T[];
  readonly has_more: boolean;
  readonly first_id: string | null;
  readonly last_id: string | null;
}

/** Items of a page: those of most lists, and those of files, as OpenAI has them. */
const USUAL = { max: 100, default: 20 };
export const FILE_PAGE = { max: 10_000, default: 10_000 };

/** The part of a list that a request asks for, the items behind `after`. @throws ApiError 400 */
export function pageOf<T extends Listed>(context: Context, items: readonly T[], size = USUAL): Page<T> {
  const { after, limit } = askedPart(context, size);
  const place = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  const isThere = after === undefined || place > 0;
  return toPage({ after, limit }, isThere ? items.slice(place, place + limit + 1) : null);
}

/** Which part of a list a request asks for. @throws ApiError 400 */
export function askedPart(context: Context, size = USUAL): AskedPart {
  const { after, limit: given = `${size.default}` } = context.req.query();
  const limit = Number(given);
  if (Number.isInteger(limit) && limit >= 1 && limit <= size.max) return { after, limit };
  throw new ApiError(400, `limit must be a number from 1 to ${size.max}`, {
    code: "invalid_value",
    param: "limit",
  });
}

/** Makes a page of the items behind `after`, of one more than may be on it; null: `after` is none. @throws ApiError 400 */
export function toPage<T extends Listed>({ after, limit }: AskedPart, items: readonly T[] | null): Page<T> {
  if (items === null) {
    throw new ApiError(400, `There is no "${after}" in the list`, { code: "invalid_value", param: "after" });
  }
  const data = items.slice(0, limit);
  return {
    object: "list",
    data,
    has_more: items.length > limit,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
