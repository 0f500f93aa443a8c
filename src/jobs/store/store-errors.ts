/** @file Errors of a store of files, separate from the store's client, so that code that waits for a store need not load it. */
import { FailedError } from "../../errors.ts";

/** A store that does not answer or refuses, but may recover; its code is "failed/store". */
export class StoreAwayError extends FailedError {}

/** A store that answers but refuses, because of a wrong key or a missing bucket. An operator must mend that. */
export class StoreRefusesError extends StoreAwayError {}
