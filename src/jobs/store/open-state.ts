/**
 * @file Opens the place where the files of jobs are kept. It is either a folder that several servers may share, or an
 * object store with copies in a local folder.
 */
import type { Environment } from "../../environment.ts";
import type { Clock } from "../queue/clock.ts";
import { StateFolder } from "../state-folder.ts";

interface StateOptions {
  readonly folder: string;
  /** s3://BUCKET/PREFIX */
  readonly store: string | undefined;
  readonly env: Environment;
  readonly clock: Clock;
}

/** Opens them, and asks the store whether it answers. @throws UsageError "usage/flag"; FailedError "failed/store" */
export async function openState({ folder, store, env, clock }: StateOptions): Promise<StateFolder> {
  if (store === undefined) return new StateFolder(folder);
  const [{ S3Store, storeAddress }, { StoredState }] = await Promise.all([
    import("./s3.ts"),
    import("./stored-state.ts"),
  ]);
  const objects = new S3Store(storeAddress(store, env), clock);
  await objects.list("files/none");
  return new StoredState(folder, objects);
}
