/**
 * @file The optimizer's state in a checkpoint: `state.<slot>.<parameter>` with the shape of the parameter, and `step.<parameter>`, the
 * number of its updates.
 *
 * Earlier versions wrote one vector per slot, under the slot's name, with all parameters in the order of the adapter; each had as many
 * updates as the run had steps. Such files are still read.
 */
import type { DType } from "../../../graph/dtype.ts";
import { sameShape, showShape } from "../../../graph/shape.ts";
import { FormatError } from "../../../errors.ts";
import type { FolderFile } from "../../../format/files/folder-file.ts";
import type { Safetensors } from "../../../format/files/safetensors/safetensors.ts";
import {
  type StreamedTensor,
  type TensorSource,
  safetensorsFile,
} from "../../../format/files/safetensors/safetensors-writer.ts";
import { openSafetensors } from "../../../format/by-path.ts";
import type { GroupState } from "../../../optim/updater.ts";
import type { Parameter, Parameters } from "../../../peft/parameters.ts";
import { hostTensor } from "../../../runtime/host-tensor.ts";

export const OPTIMIZER_FILE = "optimizer.safetensors";

/** State of each group of an adapter's parameters, in order. */
export type OptimizerState = readonly GroupState[];

/** Describes the file of the state, whose tensors are read when it is written. */
export function optimizerFile({ groups }: Pick<Parameters, "groups">, state: OptimizerState): FolderFile {
  const tensors = groups.flatMap(({ parameters }, group) =>
    parameters.flatMap((parameter, index): [string, TensorSource][] => {
      const { slots, steps } = state[group]!;
      const step = hostTensor("int64", [], BigInt64Array.of(BigInt(steps[index] ?? 0)));
      return [
        [stepName(parameter), step],
        ...Object.entries(slots).map(([slot, values]): [string, TensorSource] => {
          const { offset, length, shape } = parameter;
          const stream: StreamedTensor["stream"] = (write) =>
            values.visit(offset, offset + length, "read", write);
          return [slotName(slot, parameter), { dtype: "float32", shape, stream }];
        }),
      ];
    }),
  );
  return safetensorsFile(OPTIMIZER_FILE, tensors);
}

/**
 * Reads a file into the state of an optimizer after `numSteps` steps of the run.
 * @throws FormatError "format/tensor" when the tensors do not match the adapter and the optimizer
 */
export async function readOptimizer(
  path: string,
  adapter: Parameters,
  state: OptimizerState,
  numSteps: number,
): Promise<void> {
  const file = await openSafetensors(path);
  try {
    const slots = Object.keys(state[0]?.slots ?? {});
    const isWhole = slots.some((slot) => file.tensors.has(slot));
    await (isWhole ? readWhole : readEach)(file, adapter, state, numSteps);
  } finally {
    await file.close();
  }
}

async function readEach(
  file: Safetensors,
  { groups }: Parameters,
  state: OptimizerState,
  numSteps: number,
): Promise<void> {
  const expected = groups.flatMap(({ parameters }, group) =>
    parameters.flatMap((parameter) => [
      stepName(parameter),
      ...Object.keys(state[group]!.slots).map((slot) => slotName(slot, parameter)),
    ]),
  );
  requireNames(file, expected);
  for (const [group, { parameters }] of groups.entries()) {
    const { slots, steps } = state[group]!;
    for (const [index, parameter] of parameters.entries()) {
      for (const [slot, values] of Object.entries(slots)) {
        const name = slotName(slot, parameter);
        requireTensor(file, name, "float32", parameter.shape);
        const { offset, length } = parameter;
        await values.visit(offset, offset + length, "change", (view, at) =>
          file.readInto(name, view, at - offset),
        );
      }
      const name = stepName(parameter);
      requireTensor(file, name, "int64", []);
      const { data } = await file.read(name);
      const count = Number(data[0]);
      if (!(count >= 0 && count <= numSteps)) {
        throw unlike(file, name, `${count} updates`, `at most ${numSteps}, the steps of the run`);
      }
      steps[index] = count;
    }
  }
}

async function readWhole(
  file: Safetensors,
  { groups, parameters }: Parameters,
  state: OptimizerState,
  numSteps: number,
): Promise<void> {
  const total = parameters.reduce((sum, { length }) => sum + length, 0);
  const groupOf = new Map(groups.flatMap((group, i) => group.parameters.map((p) => [p, state[i]] as const)));
  const slots = Object.keys(state[0]?.slots ?? {});
  requireNames(file, slots);
  for (const slot of slots) {
    requireTensor(file, slot, "float32", [total]);
    const whole = (await file.read(slot)).data as Float32Array;
    let start = 0;
    for (const parameter of parameters) {
      const { offset, length } = parameter;
      const own = whole.subarray(start, (start += length));
      const { slots } = groupOf.get(parameter)!;
      await slots[slot]?.visit(offset, offset + length, "change", (view, at) =>
        view.set(own.subarray(at - offset, at - offset + view.length)),
      );
    }
  }
  for (const { steps } of state) steps.fill(numSteps);
}

/** Checks that a file has exactly these tensors. */
function requireNames(file: Safetensors, expected: readonly string[]): void {
  const names = new Set(expected);
  const missing = expected.find((name) => !file.tensors.has(name));
  if (missing !== undefined) throw unlike(file, missing, "not there", "it");
  const surplus = [...file.tensors.keys()].find((name) => !names.has(name));
  if (surplus !== undefined) throw unlike(file, surplus, "no trained parameter has it", "no such tensor");
}

function requireTensor(file: Safetensors, name: string, dtype: DType, shape: readonly number[]): void {
  const found = file.tensors.get(name)!;
  if (found.dtype === dtype && sameShape(found.shape, shape)) return;
  throw unlike(file, name, `${found.fileDtype} ${showShape(found.shape)}`, `${dtype} ${showShape(shape)}`);
}

function unlike({ path }: Safetensors, name: string, found: string, expected: string): FormatError {
  return new FormatError(
    "format/tensor",
    `Cannot read optimizer state "${name}" of "${path}": ${found}, expected ${expected}`,
    { hint: "Delete this checkpoint to resume from the one before." },
  );
}

function slotName(slot: string, { name }: Parameter): string {
  return `state.${slot}.${name}`;
}

function stepName({ name }: Parameter): string {
  return `step.${name}`;
}
