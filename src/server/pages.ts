/** @file Lists in parts, as OpenAI's clients read them. */
import type { Context } from "hono";
import { ApiError } from "./api-error.ts";
import { PAGE } from "./job-requests.ts";

/** The part of a list that a request asks for, the items behind `after`. @throws ApiError 400 */
export function pageOf(context: Context, items: readonly { readonly id: string }[]): object {
  const parsed = PAGE.safeParse(context.req.query());
  if (!parsed.success) {
    throw new ApiError(400, "limit must be a number from 1 to 100", {
      code: "invalid_value",
      param: "limit",
    });
  }
  const { after, limit } = parsed.data;
  const start = after === undefined ? 0 : items.findIndex(({ id }) => id === after) + 1;
  const data = items.slice(start, start + limit);
  return {
    object: "list",
    data,
    has_more: start + limit < items.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  };
}
