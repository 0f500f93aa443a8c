/** @file What must hold while a run goes on: finite numbers, and parameters that move. */
import { FailedError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import type { Adapter } from "../../peft/attach.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import type { RunStore } from "./run-store.ts";

/** Above it a square is not finite in float32, and norms take squares. */
const LARGEST = Math.sqrt(2 ** 128);

/** Makes the error of a run that has left the finite numbers; it names the checkpoint to go back to. */
export async function divergence(store: RunStore, found: string, step: number): Promise<FailedError> {
  const kept = await store.newestCheckpoint();
  const checkpoint = kept === null ? "" : `; the newest checkpoint is "${kept}"`;
  return new FailedError("train/nan", `Cannot continue training: ${found} in step ${step}`, {
    hint: `Choose a lower learning rate, or clip gradients${checkpoint}.`,
  });
}

/** Makes the error of a run that stops before its end; its hint says how to go on. */
export function stopped(step: number, totalSteps: number, hint: string): FailedError {
  return new FailedError(
    "train/stopped",
    `Cannot finish: the run was stopped after step ${step} of ${totalSteps}`,
    { hint },
  );
}

/**
 * An error of a run, told with the way on: what stopped for want of a place to write goes on from its newest checkpoint, or
 * begins anew. `overwrite`: the same command does that.
 */
export async function withWayOn(
  failure: unknown,
  store: RunStore,
  { overwrite }: { readonly overwrite: boolean },
): Promise<unknown> {
  if (!(failure instanceof FailedError) || failure.code !== "failed/write") return failure;
  const isBegun = (await store.newestCheckpoint().catch(() => null)) !== null;
  const anew = overwrite ? "start over with the same command" : "start over with --overwrite";
  const way = isBegun ? "continue with the same command and --resume" : anew;
  const hint = `${failure.hint ?? ""} Then ${way}.`.trimStart();
  return new FailedError(failure.code, failure.message, { hint, cause: failure });
}

/** Refuses to save what could not be trained on. @throws FailedError "train/nan" */
export async function requireFinite(
  { groups, memory }: Pick<Adapter, "groups" | "memory">,
  store: RunStore,
  step: number,
): Promise<void> {
  for (const { values } of groups) {
    const bad = await whileHeld(memory, [values], "read", () => findUnusable(values));
    if (bad !== null) throw await divergence(store, `a parameter is ${bad}`, step);
  }
}

/** Finds what nothing can be computed with, NaN too. By index: `find` takes five times as long, and `for … of` more. */
export function findUnusable(values: Float32Array): string | null {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Math.abs(value) < LARGEST) continue;
    return Number.isFinite(value) ? `${value}, of which the square is Infinity` : `${value}`;
  }
  return null;
}

/**
 * Makes the error of a run in which a step with a learning rate changed nothing, or no step of an epoch has the tokens of the rows.
 * `isFlat`: nor does the loss hang on any token.
 */
export function noMovement(step: number, gradientNorm: number, isFlat: boolean): FailedError {
  const tokens = isFlat
    ? "The loss does not depend on the output of the model: choose other options for the objective."
    : "Check that the target modules are used, and that the trained tokens occur in the data.";
  return new FailedError(
    "train/no-movement",
    `Cannot train: no parameter moved in step ${step}, gradient norm ${gradientNorm}`,
    {
      hint:
        gradientNorm === 0
          ? tokens
          : "Check that the target modules are used and that the learning rate is not too small.",
    },
  );
}

/** Makes the error of a run in which no step had a gradient of anything that is trained. */
export function noGradient(step: number): FailedError {
  return new FailedError(
    "train/no-movement",
    `Cannot train: nothing that is trained has a gradient, up to step ${step}`,
    { hint: "Let what is trained be used where the method adapts a projection, and drop fewer branches." },
  );
}

/** Refuses an adapter with which no block can be trained, before anything is written. @throws UsageError "usage/target-modules" */
export function requireTrainableBlocks(model: Model, adapter: AdapterView): void {
  const seen = new Set<string>();
  for (const [layer, { kind }] of model.layers.entries()) {
    const structure = `${kind} ${adapter.signature(layer)}`;
    if (seen.has(structure)) continue;
    seen.add(structure);
    model.buildBlock(layer, { ...partWith(adapter, layer), training: true });
  }
}
