/**
 * @file Opens the place where the files of jobs are kept. It is either a folder that several servers may share, or an
 * object store with copies in a local folder.
 */
import type { Environment } from "../../environment.ts";
import type { Clock } from "../queue/clock.ts";
import { Trouble, type TroubleOptions } from "../queue/trouble.ts";
import { StateFolder } from "../state-folder.ts";
import { whileAway } from "./while-away.ts";

interface StateOptions {
  readonly folder: string;
  /** s3://BUCKET/PREFIX */
  readonly store: string | undefined;
  readonly env: Environment;
  readonly clock: Clock;
  /** Ends the question whether the store answers. */
  readonly signal?: AbortSignal;
}

interface PatientOptions extends StateOptions {
  readonly signal: AbortSignal;
  readonly troubles: TroubleOptions;
  /** Is told that the store is away, and waited for. */
  readonly onAway: (error: unknown) => void;
}

/** Opens them, and asks the store whether it answers. @throws UsageError "usage/flag"; FailedError "failed/store" */
export async function openState({ folder, store, env, clock, signal }: StateOptions): Promise<StateFolder> {
  if (store === undefined) return new StateFolder(folder);
  const [{ S3Store, storeAddress }, { StoredState }] = await Promise.all([
    import("./s3.ts"),
    import("./stored-state.ts"),
  ]);
  const objects = new S3Store(storeAddress(store, env), clock);
  await objects.list("files/none", signal);
  return new StoredState(folder, objects);
}

/** Opens them when the store answers. @throws as `openState` at once where the store refuses; the reason of a signal that aborts */
export async function openStateWhenThere(options: PatientOptions): Promise<StateFolder> {
  const { clock, signal, troubles, onAway } = options;
  const { StoreAwayError, StoreRefusesError } = await import("./s3.ts");
  const open = async (): Promise<StateFolder> => {
    try {
      return await openState(options);
    } finally {
      signal.throwIfAborted();
    }
  };
  return await whileAway(open, {
    trouble: new Trouble(troubles),
    isAway: (error) => error instanceof StoreAwayError && !(error instanceof StoreRefusesError),
    wait: async (timeMs) => {
      await clock.sleep(timeMs, signal);
      return true;
    },
    onAway,
  });
}
