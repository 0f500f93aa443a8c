/** @file What the rows of a batch cannot have, as an error, and how others know it again. */
import { UsageError } from "../../errors.ts";

/** Refuses a tensor of the base that an adapter has in the place of the base's. @throws UsageError "usage/adapter" */
export function refuseOwn(name: string): never {
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters in one batch: one has a "${name}" of its own, expected the base's`,
    { hint: "Run the requests of that adapter on their own." },
  );
}

/** Whether an error says that adapters cannot share a batch, so that they may take turns instead. */
export function isRefusal(error: unknown): boolean {
  return error instanceof UsageError && error.code === "usage/adapter";
}
