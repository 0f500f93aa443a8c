/**
 * @file Opens the place for the files of jobs: either a folder that several servers may share, or an object store with copies in
 * a local folder.
 */
import type { Environment } from "../../environment.ts";
import type { Clock } from "../queue/clock.ts";
import { StateFolder } from "../state-folder.ts";
import { type Patience, untilThere } from "../while-away.ts";
import { StoreAwayError, StoreRefusesError } from "./store-errors.ts";

interface StateOptions {
  readonly folder: string;
  /** s3://BUCKET/PREFIX */
  readonly store: string | undefined;
  readonly env: Environment;
  readonly clock: Clock;
}

/** Opens the place, without contacting a store yet. @throws UsageError "usage/flag" */
export async function openState({ folder, store, env, clock }: StateOptions): Promise<StateFolder> {
  if (store === undefined) return new StateFolder(folder);
  const [{ S3Store, storeAddress }, { StoredState }] = await Promise.all([
    import("./s3.ts"),
    import("./stored-state.ts"),
  ]);
  return new StoredState(folder, new S3Store(storeAddress(store, env), clock));
}

/** Waits until the store answers. @throws FailedError "failed/store" at once when it refuses; the reason of a signal that aborts */
export async function untilAnswered(files: StateFolder, patience: Patience): Promise<void> {
  const { signal } = patience;
  const ask = async (): Promise<void> => {
    try {
      await files.requireAnswer(signal);
    } finally {
      signal.throwIfAborted();
    }
  };
  const isAway = (error: unknown): boolean =>
    error instanceof StoreAwayError && !(error instanceof StoreRefusesError);
  await untilThere(ask, isAway, patience);
}
