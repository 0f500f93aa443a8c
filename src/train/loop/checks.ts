/** @file Checks of a running training: numbers are finite, and parameters move. */
import { FailedError } from "../../errors.ts";
import type { Model } from "../../models/model.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import type { Adapter } from "../../peft/attach.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import type { RunStore } from "./run-store.ts";

/** Squares of larger numbers are not finite in float32, and norms take squares. */
const LARGEST = Math.sqrt(2 ** 128);

/** The error of a run whose numbers are no longer finite; it names the checkpoint to resume from. */
export async function divergence(store: RunStore, found: string, step: number): Promise<FailedError> {
  const kept = await store.newestCheckpoint();
  const checkpoint = kept === null ? "" : `; the newest checkpoint is "${kept}"`;
  return new FailedError("train/nan", `Cannot continue training: ${found} in step ${step}`, {
    hint: `Choose a lower learning rate, or clip gradients${checkpoint}.`,
  });
}

/** The error of a run that stops before its end; its hint says how to resume. */
export function stopped(step: number, totalSteps: number, hint: string): FailedError {
  return new FailedError(
    "train/stopped",
    `Cannot finish: the run was stopped after step ${step} of ${totalSteps}`,
    { hint },
  );
}

/** Adds to a failure to write how to continue: from the newest checkpoint, or from the start. `overwrite`: the same command starts over. */
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

/** Refuses to save parameters with which training could not continue. @throws FailedError "train/nan" */
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

/** Describes the first unusable number: NaN, infinite, or its square is. By index: `find` takes five times as long, `for … of` more. */
export function findUnusable(values: Float32Array): string | null {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Math.abs(value) < LARGEST) continue;
    return Number.isFinite(value) ? `${value}, of which the square is Infinity` : `${value}`;
  }
  return null;
}

/**
 * The error of a run in which a step with a learning rate changed no parameter, or in which no step of an epoch has any of the trained
 * tokens. `isFlat`: the loss does not depend on any token either.
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

/** The error of a run in which no trained parameter had a gradient in any step. */
export function noGradient(step: number): FailedError {
  return new FailedError(
    "train/no-movement",
    `Cannot train: nothing that is trained has a gradient, up to step ${step}`,
    { hint: "Let what is trained be used where the method adapts a projection, and drop fewer branches." },
  );
}

/** Refuses an adapter with which some block cannot be trained, before anything is written. @throws UsageError "usage/target-modules" */
export function requireTrainableBlocks(model: Model, adapter: AdapterView): void {
  const seen = new Set<string>();
  for (const [layer, { kind }] of model.layers.entries()) {
    const structure = `${kind} ${adapter.signature(layer)}`;
    if (seen.has(structure)) continue;
    seen.add(structure);
    model.buildBlock(layer, { ...partWith(adapter, layer), training: true });
  }
}
