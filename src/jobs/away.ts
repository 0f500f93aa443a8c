/**
 * @file What clients are told where something that a server needs does not answer. Where that is, and how to mend it, is for who
 * runs the server.
 */
import { type ErrorCode, GraftError } from "../errors.ts";

const AWAY: ReadonlyMap<ErrorCode, string> = new Map([
  ["failed/database", "The database of the server does not answer, or is out of space"],
  ["failed/store", "The store of the server does not answer, or refuses"],
]);

/** What it is that does not answer; null: the error is not of this kind. */
export function whatIsAway(error: unknown): string | null {
  return error instanceof GraftError ? (AWAY.get(error.code) ?? null) : null;
}

/** What clients are told of an error of which nothing else is for them; null: it is not of this kind. */
export function toldOfAway(error: unknown): string | null {
  const what = whatIsAway(error);
  return what === null ? null : `${what}: try again shortly`;
}
