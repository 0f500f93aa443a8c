/** @file Lists in parts, as OpenAI's clients read them. */
import type { Context } from "hono";
import { ApiError } from "./api-error.ts";

/** Items of a page: those of most lists, and those of files, as OpenAI has them. */
const USUAL = { max: 100, default: 20 };
export const FILE_PAGE = { max: 10_000, default: 10_000 };

/** The part of a list that a request asks for, the items behind `after`. @throws ApiError 400 */
export function pageOf(
  context: Context,
  items: readonly { readonly id: string }[],
  size: typeof USUAL = USUAL,
): object {
  const { after, limit: given = `${size.default}` } = context.req.query();
  const limit = Number(given);
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= size.max)) {
    throw new ApiError(400, `limit must be a number from 1 to ${size.max}`, {
      code: "invalid_value",
      param: "limit",
    });
  }
  const place = after === undefined ? -1 : items.findIndex(({ id }) => id === after);
  if (after !== undefined && place < 0) {
    throw new ApiError(400, `There is no "${after}" in the list`, { code: "invalid_value", param: "after" });
  }
  const data = items.slice(place + 1, place + 1 + limit);
  return {
    object: "list",
    data,
    has_more: place + 1 + limit < items.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
