/** @file What clients are told when the database or store of a server does not answer. Details are for the operator only. */
import { type ErrorCode, GraftError } from "../errors.ts";

const AWAY: ReadonlyMap<ErrorCode, string> = new Map([
  ["failed/database", "The database of the server does not answer, or is out of space"],
  ["failed/store", "The store of the server does not answer, or refuses"],
]);

/** Describes what does not answer; null: the error is of another kind. */
export function whatIsAway(error: unknown): string | null {
  return error instanceof GraftError ? (AWAY.get(error.code) ?? null) : null;
}

/** What clients are told of such an error; null: the error is of another kind. */
export function toldOfAway(error: unknown): string | null {
  const what = whatIsAway(error);
  return what === null ? null : `${what}: try again shortly`;
}
