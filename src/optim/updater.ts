/**
 * @file Applies an optimizer to groups of parameters, in place, piece by piece.
 *
 * A parameter without a gradient is skipped, as `torch.optim` skips `grad is None`: its values and state stay, nothing decays,
 * and its own count of steps, which Adam uses to correct its means, does not advance.
 *
 * One group at a time is in memory, with one part of its gradients and one of its state; its gradients are discarded afterwards.
 */
import { lengthOf } from "../peft/parameters.ts";
import type { Engine } from "../runtime/engine.ts";
import { checkLength } from "../runtime/flat-chunks.ts";
import { PartedVector, type PartStretch } from "../runtime/memory/parted-vector.ts";
import { type Need, RESIDENT, type VectorMemory, holdInTurn } from "../runtime/memory/vector-memory.ts";
import type { Optimizer } from "./optimizer.ts";
import { PieceUpdate, type Vectors } from "./piece-update.ts";
import { prefixed, updateProgram } from "./update-program.ts";

/** Parameters whose values are contiguous. */
export interface VectorGroup {
  /** The block that they belong to; null: they are outside the blocks. */
  readonly layer?: number | null;
  /** Changed in place. */
  readonly values: Float32Array;
  /** Place of each parameter, in order. */
  readonly parameters: readonly { readonly offset: number; readonly length: number }[];
}

/** Gradients of a group; only read. */
interface GroupGradients {
  /** Laid out like the group's values. */
  readonly values: Pick<PartedVector, "length" | "parts"> & {
    stretches(from: number, to: number): PartStretch[];
  };
  /** Whether each parameter has a gradient. */
  readonly present: readonly boolean[];
}

/** An optimizer's state for a group, which can be saved and restored. */
export interface GroupState {
  /** State vectors by slot, laid out like the group's values, in the same memory. */
  readonly slots: Readonly<Record<string, PartedVector>>;
  /** How many updates each parameter has had. */
  readonly steps: number[];
}

export interface UpdateStep {
  /** The gradients of each group, in the order of the groups. */
  readonly gradients: readonly GroupGradients[];
  /** Factor on every gradient, from clipping. */
  readonly gradientScale: number;
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Compiles an optimizer for groups of parameters in `memory`, with its state at zero. */
export async function createUpdater<O>(
  engine: Engine,
  optimizer: Optimizer<O>,
  options: O,
  { groups, memory = RESIDENT }: { readonly groups: readonly VectorGroup[]; readonly memory?: VectorMemory },
): Promise<Updater> {
  const withState = groups.map((group) => ({ ...group, state: makeState(optimizer.slots, group, memory) }));
  const rule = new PieceUpdate(await engine.compile(updateProgram(optimizer, options)));
  const scalarsAt = (step: number): Readonly<Record<string, number>> =>
    prefixed("scalar", optimizer.scalars(step, options));
  return new Updater(rule, scalarsAt, withState, memory);
}

/** A group with the optimizer's state for it. */
interface OwnGroup extends VectorGroup {
  readonly state: GroupState;
}

/** An optimizer with its state. */
export class Updater {
  readonly #rule: PieceUpdate;
  /** The rule's scalars for the n-th update of a parameter. */
  readonly #scalarsAt: (step: number) => Readonly<Record<string, number>>;
  readonly #groups: readonly OwnGroup[];
  readonly #memory: VectorMemory;

  /** Use `createUpdater`. */
  constructor(
    rule: PieceUpdate,
    scalarsAt: (step: number) => Readonly<Record<string, number>>,
    groups: readonly OwnGroup[],
    memory: VectorMemory,
  ) {
    this.#rule = rule;
    this.#scalarsAt = scalarsAt;
    this.#groups = groups;
    this.#memory = memory;
  }

  /** The state of each group, in order. */
  get state(): readonly GroupState[] {
    return this.#groups.map(({ state }) => state);
  }

  /**
   * Updates the parameters that have a gradient. Returns whether any of their values has changed if `watches` is set; else false.
   * @throws RangeError when a vector is of another length.
   */
  async step(
    { gradients, ...scalars }: UpdateStep,
    { watches }: { readonly watches: boolean } = { watches: false },
  ): Promise<boolean> {
    this.#rule.begin(scalars, { watches });
    const all = this.#groups.map((group, i) => ({ group, gradients: gradients[i]! }));
    // In the opposite order of the backward pass, which goes down the blocks and then outside them, so that what it used last is
    // still in memory.
    const outside = all.filter(({ group }) => group.layer === null);
    const order = [...outside, ...all.filter((each) => !outside.includes(each))];
    const work = order.map(({ group, gradients }) => ({ gradients, pieces: piecesOf(group, gradients) }));
    const held = { needs: needsOf, work: (piece: Piece) => this.#update(piece) };
    for (const [i, { gradients, pieces }] of work.entries()) {
      const after = work[i + 1]?.pieces[0];
      await holdInTurn(this.#memory, pieces, held, after);
      this.#memory.discard(gradients.values.parts);
    }
    return this.#rule.hasMoved;
  }

  async #update({ step, gradient, vectors }: Piece): Promise<void> {
    this.#rule.set(this.#scalarsAt(step));
    await this.#rule.run(gradient, vectors);
  }

  /** Frees the compiled program. */
  async release(): Promise<void> {
    await this.#rule.release();
  }
}

function makeState(slots: readonly string[], group: VectorGroup, memory: VectorMemory): GroupState {
  const makeSlot = (name: string): PartedVector =>
    new PartedVector(memory, { name: `optimizer state "${name}"`, usesPerStep: 1 }, lengthOf(group));
  return {
    slots: Object.fromEntries(slots.map((slot) => [slot, makeSlot(slot)])),
    steps: group.parameters.map(() => 0),
  };
}

/**
 * Finds the end of consecutive parameters that are updated together: all with or all without a gradient, and with equal counts of steps.
 */
function endOfRun(start: number, present: readonly boolean[], steps: readonly number[]): number {
  let end = start + 1;
  while (end < steps.length && present[end] === present[start] && steps[end] === steps[start]) end++;
  return end;
}

/** Elements that are updated together: their gradients lie in one part, and so do the vectors of their state. */
interface Piece {
  /** How many updates its parameters have had, including this one. */
  readonly step: number;
  readonly gradient: PartStretch;
  readonly vectors: Vectors;
}

function needsOf({ gradient, vectors }: Piece): Need[] {
  return [
    [[gradient.part], "read"],
    [Object.values(vectors).map(({ part }) => part), "change"],
  ];
}

/** Cuts parameters that have a gradient into pieces, and counts their updates. @throws RangeError for gradients of another length */
function piecesOf(
  { values, parameters, state }: OwnGroup,
  { values: gradients, present }: GroupGradients,
): Piece[] {
  checkLength("gradients", gradients, lengthOf({ parameters }));
  const pieces: Piece[] = [];
  for (let index = 0; index < parameters.length;) {
    const end = endOfRun(index, present, state.steps);
    if (present[index] === true) {
      const step = state.steps[index]! + 1;
      const [first, last] = [parameters[index]!, parameters[end - 1]!];
      const stretches = gradients.stretches(first.offset, last.offset + last.length);
      const cut = (gradient: PartStretch): Piece[] =>
        cutByState(values, state, gradient).map((vectors) => ({ step, gradient, vectors }));
      pieces.push(...stretches.flatMap(cut));
      state.steps.fill(step, index, end);
    }
    index = end;
  }
  return pieces;
}

/** Cuts a range of values and state by the parts of the state, which are the same for all slots. */
function cutByState(
  values: Float32Array,
  { slots }: GroupState,
  { from, to }: Pick<PartStretch, "from" | "to">,
): Vectors[] {
  const ofSlots = Object.entries(prefixed("slot", slots)).map(
    ([name, vector]) => [name, vector.stretches(from, to)] as const,
  );
  const cuts = ofSlots[0]?.[1] ?? [{ from, to }];
  return cuts.map((cut, i) => ({
    parameter: { part: values, start: 0, from: cut.from, to: cut.to },
    ...Object.fromEntries(ofSlots.map(([name, stretches]) => [name, stretches[i]!])),
  }));
}
