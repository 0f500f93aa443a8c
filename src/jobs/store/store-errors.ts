/** @file Errors of a store of files, apart from what asks it, so that who waits for one need not load that. */
import { FailedError } from "../../errors.ts";

/** A store that does not answer, or refuses, and may do otherwise later; its code is "failed/store". */
export class StoreAwayError extends FailedError {}

/** A store that answers, and refuses: a wrong key, a bucket that is not there. Somebody has to mend that. */
export class StoreRefusesError extends StoreAwayError {}
