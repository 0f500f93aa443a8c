/**
 * @file Applies an optimizer to groups of parameters, in place, piece by piece.
 *
 * A parameter without a gradient is passed over, as `torch.optim` passes over `grad is None`: its numbers and its state
 * stay, nothing decays, and its own count of steps, by which Adam corrects its means, does not advance.
 *
 * One group is in memory at a time, with a part of its gradients and one of its state; after that nobody reads its gradients.
 */
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import { PartedVector, type PartStretch } from "../runtime/parted-vector.ts";
import { RESIDENT, type VectorMemory, whileHeld } from "../runtime/vector-memory.ts";
import { FlatChunks, checkLength } from "../runtime/flat-chunks.ts";
import type { Optimizer } from "./optimizer.ts";
import { prefixed, updateProgram } from "./update-program.ts";

/** Parameters whose numbers lie side by side. */
export interface VectorGroup {
  /** Of which block they are; null: of none. */
  readonly layer?: number | null;
  /** Changed in place. */
  readonly values: Float32Array;
  /** Where each parameter lies, in order. */
  readonly parameters: readonly { readonly offset: number; readonly length: number }[];
}

/** Gradients of a group; only read. */
export interface GroupGradients {
  /** Laid out like the group's values. */
  readonly values: Pick<PartedVector, "length" | "parts" | "stretches">;
  /** Whether each parameter has a gradient. */
  readonly present: readonly boolean[];
}

/** An optimizer's state of a group: to be saved, or set from a saved one. */
export interface GroupState {
  /** State vectors by slot, laid out like the group's values, in the same memory. */
  readonly slots: Readonly<Record<string, PartedVector>>;
  /** How many updates each parameter has had. */
  readonly steps: number[];
}

/** One optimizer step. */
export interface UpdateStep {
  /** Those of each group, in the order of the groups. */
  readonly gradients: readonly GroupGradients[];
  /** Factor on every gradient: that of clipping. */
  readonly gradientScale: number;
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** An optimizer with its state. */
export interface Updater {
  /** In the order of the groups. */
  readonly state: readonly GroupState[];
  /**
   * Updates the parameters that have a gradient; with `looks`, says whether a number of them is another now.
   * @throws RangeError when a vector is of another length.
   */
  step(step: UpdateStep, looks?: boolean): Promise<boolean>;
  /** Frees the compiled program. */
  release(): Promise<void>;
}

/** Compiles an optimizer for groups of parameters in some memory, its state at zero. */
export async function createUpdater<O>(
  engine: Engine,
  optimizer: Optimizer<O>,
  options: O,
  groups: readonly VectorGroup[],
  memory: VectorMemory = RESIDENT,
): Promise<Updater> {
  const program = await engine.compile(updateProgram(optimizer, options));
  /** Inputs of the program: scalars are set here, vectors for each piece. */
  const feeds: Record<string, HostTensor<"float32">> = {};
  const set = (name: string, value: number): void => {
    (feeds[name] ??= zeros("float32", [])).data[0] = value;
  };
  const pieces = new PieceRunner(program, feeds);
  const state = groups.map((group): GroupState => makeState(optimizer, group, memory));

  const updateGroup = async (
    { values, parameters }: VectorGroup,
    { slots, steps }: GroupState,
    { values: gradients, present }: GroupGradients,
    looks: boolean,
  ): Promise<boolean> => {
    let hasMoved = false;
    checkLength("gradients", gradients, values.length);
    const gradientStretches = gradients.stretches();
    const ofSlots = Object.entries(prefixed("slot", slots));
    /** Updates from one element up to another, part by part of the state. */
    const updateWith = async ({ part: own, start }: PartStretch, from: number, to: number): Promise<void> => {
      const parts = ofSlots.map(([name, vector]) => [name, vector.stretches(from, to)] as const);
      const stretches = parts[0]?.[1] ?? [{ part: values, start: 0, from, to }];
      const held = stretches.map((_, i) => parts.map(([, own]) => (own[i] as PartStretch).part));
      for (const [i, stretch] of stretches.entries()) {
        const vectors = Object.fromEntries(parts.map(([name, own]) => [name, own[i] as PartStretch]));
        const whole = { ...stretch, start: 0 };
        const run = (): Promise<boolean> =>
          pieces.run(
            { ...stretch, part: own, start },
            { parameter: { ...whole, part: values }, ...vectors },
            looks && !hasMoved,
          );
        const next = held[i + 1];
        const moves = await whileHeld(memory, held[i] ?? [], "change", () => {
          if (next) memory.prefetch(next, "change");
          return run();
        });
        hasMoved ||= moves;
      }
    };
    /** And part by part of the gradients. */
    const update = async (from: number, to: number): Promise<void> => {
      for (const [i, stretch] of gradientStretches.entries()) {
        const [start, end] = [Math.max(from, stretch.from), Math.min(to, stretch.to)];
        if (start >= end) continue;
        const next = gradientStretches[i + 1];
        await whileHeld(memory, [stretch.part], "read", () => {
          if (next) memory.prefetch([next.part], "read");
          return updateWith(stretch, start, end);
        });
      }
    };
    for (let index = 0; index < parameters.length;) {
      const end = endOfRun(index, present, steps);
      if (present[index] === true) {
        const count = (steps[index] ?? 0) + 1;
        for (const [name, value] of Object.entries(optimizer.scalars(count, options)))
          set(`scalar.${name}`, value);
        const { offset: from } = parameters[index] as VectorGroup["parameters"][number];
        const last = parameters[end - 1] as VectorGroup["parameters"][number];
        await update(from, last.offset + last.length);
        steps.fill(count, index, end);
      }
      index = end;
    }
    return hasMoved;
  };

  return {
    state,
    release: () => program.release(),
    step: async ({ gradients, gradientScale, learningRate, weightDecay }, looks = false) => {
      set("gradientScale", gradientScale);
      set("learningRate", learningRate);
      set("weightDecay", weightDecay);
      let hasMoved = false;
      // Against the order of the backward pass: what it had last is still there.
      const order = inOrderOfUpdate(groups);
      for (const [i, index] of order.entries()) {
        const [group, own] = [groups[index] as VectorGroup, state[index] as GroupState];
        const collected = gradients[index] as GroupGradients;
        const next = groups[order[i + 1] ?? -1];
        const moves = await whileHeld(memory, [group.values], "change", () => {
          if (next) memory.prefetch([next.values], "change");
          return updateGroup(group, own, collected, looks && !hasMoved);
        });
        hasMoved ||= moves;
        memory.discard(collected.values.parts);
      }
      return hasMoved;
    },
  };
}

/** The blocks come downwards in the backward pass, what is outside of them after. */
function inOrderOfUpdate(groups: readonly VectorGroup[]): number[] {
  const isOutside = (index: number): boolean => groups[index]?.layer === null;
  const all = [...groups.keys()];
  return [...all.filter(isOutside), ...all.filter((index) => !isOutside(index))];
}

function makeState<O>(
  { slots }: Optimizer<O>,
  { parameters }: VectorGroup,
  memory: VectorMemory,
): GroupState {
  const last = parameters.at(-1);
  const length = last ? last.offset + last.length : 0;
  const makeSlot = (name: string): PartedVector =>
    new PartedVector(memory, { name: `optimizer state "${name}"`, usesPerStep: 1 }, length);
  return {
    slots: Object.fromEntries(slots.map((slot) => [slot, makeSlot(slot)])),
    steps: parameters.map(() => 0),
  };
}

/** The end of the neighbours that are updated alike: all with a gradient or all without, after as many steps. */
function endOfRun(start: number, present: readonly boolean[], steps: readonly number[]): number {
  let end = start + 1;
  while (end < steps.length && present[end] === present[start] && steps[end] === steps[start]) end++;
  return end;
}

/** Runs an update piece by piece and copies the results back: no output may overwrite what the program still reads. */
class PieceRunner {
  readonly #program: Program;
  readonly #chunks = new FlatChunks();
  readonly #feeds: Record<string, HostTensor<"float32">>;
  readonly #into: Record<string, HostTensor<"float32">> = {};

  constructor(program: Program, feeds: Record<string, HostTensor<"float32">>) {
    this.#program = program;
    this.#feeds = feeds;
  }

  /** Updates one stretch, which all vectors have in a part each. `looks`: to say whether a parameter is another now. */
  async run(
    gradients: PartStretch,
    vectors: Readonly<Record<string, PartStretch>>,
    looks: boolean,
  ): Promise<boolean> {
    let hasMoved = false;
    const [feeds, into, chunks] = [this.#feeds, this.#into, this.#chunks];
    const names = Object.keys(vectors);
    const piecesOf = ({ part, start, from, to }: PartStretch): readonly HostTensor<"float32">[] =>
      chunks.of(part, from - start, to - start);
    for (const [i, gradient] of piecesOf(gradients).entries()) {
      feeds["gradient"] = gradient;
      for (const name of names) {
        feeds[name] = piecesOf(vectors[name] as PartStretch)[i] as HostTensor<"float32">;
        into[`new.${name}`] = chunks.scratch(name, gradient.data.length);
      }
      await this.#program.run(feeds, into);
      if (looks && !hasMoved) {
        const now = into["new.parameter"]?.data;
        hasMoved = feeds["parameter"]?.data.some((value, at) => value !== now?.[at]) ?? false;
      }
      for (const name of names) feeds[name]?.data.set(into[`new.${name}`]?.data ?? []);
    }
    return hasMoved;
  }
}
