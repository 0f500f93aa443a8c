/**
 * @file The graph of a part of a model (a block, the stem, the head) as its family's definition builds it.
 *
 * It records every tensor, site, branch and pass input that the definition declares. The projections are built by a
 * projector that is passed in, so that adapters sit here without the family knowing. Which activations are worth saving
 * follows from what makes them: outputs of projections, branches and attention.
 */
import { Graph, type Value, type Values } from "../../graph/graph.ts";
import { add } from "../../graph/ops/pointwise/elementwise.ts";
import { gatherRows } from "../../graph/ops/rows/gather-scatter.ts";
import { stopGradient } from "../../graph/ops/shapes/stop-gradient.ts";
import { sizeAt } from "../../graph/shape.ts";
import type { AttendOptions, Builder, LinearOptions, TensorRole } from "../../nn/builder.ts";
import type { Matrix } from "../../nn/compute.ts";
import { asFloat32 } from "../../nn/computes/f32.ts";
import type { PassInput } from "../../nn/pass.ts";
import type { RopeConfig } from "../../nn/rope/rope-tables.ts";
import { alongRows } from "../../nn/along-rows.ts";
import { type DropoutMask, DropoutMasks } from "./dropout-masks.ts";
import { type PartAttention, type PartCache, attendIn, rotateIn } from "./part-attention.ts";
import type { LinearAttentionValues } from "../../graph/ops/linear-attention/linear-attention.ts";
import { type PartEarlier, earlierBesideAttention, earlierIn } from "./part-earlier.ts";
import { rememberIn } from "./part-memory.ts";
import { PartBranches } from "./part-branches.ts";
import { PartHead } from "./part-head.ts";
import { LAYER_INPUT, OTHER_KEY, OTHER_VALUE, PartLinks } from "./part-links.ts";
import { PartLookUps } from "./part-look-ups.ts";
import { PartMatrices, type PartMatrix } from "./part-matrices.ts";
import { ATTENDED, PartSaved } from "./part-saved.ts";
import { PartTensors, type TensorRead } from "./part-tensors.ts";
import { PassValues } from "./pass-values.ts";
import { RowParts } from "./row-parts.ts";
import { PLAIN_PART, type PartOptions } from "./part-options.ts";
import { type FrozenSite, PartSites } from "./part-sites.ts";
import { type PartState, type StateOptions, pastStates } from "./part-state.ts";
import { type SiteSpec, type TensorSpec, residualSite } from "./sites.ts";

/** A product without adapter and bias. */
interface PlainProduct extends Pick<PartMatrix, "product" | "operands"> {
  /** The input of the product. */
  readonly x: Value;
}

/** The residual stream as a projection. */
const IDENTITY: FrozenSite = {
  get weight(): Value {
    throw new TypeError("Cannot read the weight of the residual stream: it has none");
  },
  bias: null,
  project: (value) => value,
};

export class PartGraph implements Builder {
  readonly graph = new Graph();
  readonly #tensors = new PartTensors(this.graph);
  readonly #matrices = new PartMatrices(this.#tensors);
  readonly #pass = new PassValues(this.graph);
  /** Tensors in the order of their use. */
  readonly specs: readonly TensorSpec[] = this.#tensors.specs;
  readonly #branches = new PartBranches();
  readonly branches = this.#branches.all;
  /** Tied matrices: name of the matrix → name of the embedding's tensor. */
  readonly ties = new Map<string, string>();
  /** Inputs for the part's tensors, by name: the tensors themselves, or the operands of their arithmetic. */
  readonly tensors: Readonly<Record<string, Value>> = this.#tensors.inputs;
  readonly passInputs = this.#pass.inputs;
  readonly tables = this.#pass.tables;
  readonly #lookUps = new PartLookUps(this.graph, this.#tensors);
  readonly lookUps = this.#lookUps.byIds;
  readonly gathered = this.#lookUps.gathered;
  readonly #saved = new PartSaved();
  /** Activations worth saving for the backward program. */
  readonly saved = this.#saved.values;
  /** The one attention of a block; null: there is none. */
  attention: PartAttention | null = null;
  /** What it gives to other parts, or reads from them. */
  readonly links = new PartLinks(this.graph);
  /** What a block without attention reads of the few tokens before each; null: nothing. */
  recent: PartEarlier | null = null;
  /** The states that a block keeps for all tokens; `states` has those that are read and written, with a cache. */
  readonly stateOptions: StateOptions[] = [];
  readonly states: PartState[] = [];
  readonly head = new PartHead(this.graph);
  /** Products without adapter and bias, by their value. */
  readonly plainProducts = new Map<Value, PlainProduct>();
  readonly readers = this.#matrices.readers;
  #options: PartOptions;
  readonly #rowParts = new RowParts();
  readonly #masks = new DropoutMasks(this.graph, this.#rowParts);
  readonly #sites = new PartSites({
    graph: this.graph,
    masks: this.#masks,
    ties: this.ties,
    save: (name, value) => this.#saved.save(name, value),
    context: (input) => this.input(input),
  });
  readonly sites: readonly SiteSpec[] = this.#sites.specs;
  readonly adapter: Readonly<Record<string, Value>> = this.#sites.adapter;

  constructor(options: PartOptions) {
    this.#options = options;
  }

  /** Ends building (called by `buildPart`): forgets the options, and so the adapter. */
  end(): void {
    this.#options = PLAIN_PART;
  }

  /** Masks that the runner of a program draws. */
  get dropout(): readonly DropoutMask[] {
    return this.#masks.drawn;
  }

  tensor(name: string, shape: readonly number[], role: TensorRole): Value {
    const value = this.#tensors.declare({ name, shape, role }, asFloat32(shape))[""]!;
    return this.#options.readTensor({ name, value, input: this.#sites.inputOf(name) });
  }

  /** Returns the tensors that have operands among the inputs of a program. */
  readsOf(inputs: Readonly<Record<string, Value>>): TensorRead[] {
    return this.#tensors.readsOf(inputs);
  }

  linear(name: string, x: Value, outFeatures: number, options: LinearOptions): Value {
    const { role, bias: hasBias = false, storedTransposed = false, tiedTo = null, stack } = options;
    const inFeatures = sizeAt(x.shape, -1);
    if (role === "head") this.head.input = x;
    const { headProduct } = this.#options;
    if (role === "head" && headProduct !== "whole") return this.head.multiply(name, x, headProduct, hasBias);
    if (tiedTo !== null) this.ties.set(`${name}.weight`, tiedTo);
    const matrix: Matrix = { role, inFeatures, outFeatures, storedTransposed };
    const { dense, smooth, product, operands } = this.#matrices.declare(
      `${name}.weight`,
      x,
      matrix,
      this.#options,
    );
    const bias = hasBias ? alongRows(this.tensor(`${name}.bias`, [outFeatures], "bias"), x) : null;
    // A table that is independent of the texts has one row.
    const ofTokens = x.shape.length === 2 || x.shape[0] === 1 ? ({ ofTokens: true } as const) : {};
    const spec: SiteSpec = {
      name,
      kind: "linear",
      ...matrix,
      bias: hasBias,
      ...ofTokens,
      ...(stack && { stack }),
    };
    const { place, isFirst } = this.#sites.declare(spec);
    if (isFirst) this.#branches.count(inFeatures * outFeatures * this.#rowParts.shareOf(x));
    const frozen = {
      get weight() {
        return dense();
      },
      bias,
      project: (value: Value) => {
        const y = product.project(smooth(value), operands);
        return bias ? add(y, bias) : y;
      },
    };
    const { output: y, isPlain, isCheap } = this.#sites.place(spec, frozen, x, { ...this.#options, place });
    if (bias === null && isPlain) this.plainProducts.set(y, { x: smooth(x), product, operands });
    return isCheap ? y : this.#saved.save(`${place}.output`, y);
  }

  lookUp(name: string, ids: Value, numRows: number, width: number): Value {
    const table = `${name}.weight`;
    const spec: SiteSpec = {
      name,
      kind: "embedding",
      role: "embedding",
      inFeatures: numRows,
      outFeatures: width,
      bias: false,
      storedTransposed: false,
    };
    this.#sites.declare(spec);
    this.#lookUps.note(ids, spec);
    const shape = [numRows, width] as const;
    const rows = this.#options.isGathered(table)
      ? this.#lookUps.gather(table, shape, ids, `${name}.rows`)
      : gatherRows(this.tensor(table, shape, "embedding"), ids);
    return this.#options.lookUp({ spec, ids, rows, input: this.#sites.inputOf(name) });
  }

  attend(q: Value, k: Value, v: Value, options: AttendOptions): Value {
    this.#requireNoCache();
    const sinks =
      options.sinks === undefined ? null : this.tensor(options.sinks, [options.numHeads], "weight");
    this.attention = attendIn(this.#pass, [q, k, v], options, { ...this.#options, sinks });
    const { output, saved } = this.attention.outputs;
    for (const [name, value] of Object.entries(saved)) this.#saved.save(name, value);
    return this.#saved.save(ATTENDED.attention, output);
  }

  toLayers(x: Value): void {
    this.links.give(x);
  }

  layerInput(width: number): Value {
    return this.links.input(LAYER_INPUT, width);
  }

  keysOfOther(width: number): readonly [key: Value, value: Value] {
    return [this.links.input(OTHER_KEY, width), this.links.input(OTHER_VALUE, width)];
  }

  earlier(x: Value, count: number): Values {
    if (this.attention) {
      const beside = earlierBesideAttention(this.#pass, x, count, this.#options);
      this.#keep(beside);
      return beside.values;
    }
    this.#requireNoCache();
    this.recent = earlierIn(this.#pass, x, count, this.#options);
    return this.recent.values;
  }

  linearAttention(values: LinearAttentionValues): Value {
    const memory = rememberIn(this.#pass, values, this.#options);
    this.#keep(memory);
    return this.#saved.save(ATTENDED.memory, memory.read);
  }

  #keep({ options, state }: { readonly options: StateOptions; readonly state: PartState | null }): void {
    if (this.stateOptions.some(({ name }) => name === options.name))
      throw new RangeError(`Cannot build a block with two states that are called "${options.name}"`);
    this.stateOptions.push(options);
    if (state) this.states.push(state);
  }

  /** What a block keeps of each token for later ones; null: nothing. */
  get cache(): PartCache | null {
    return this.attention ?? this.recent;
  }

  #requireNoCache(): void {
    if (this.cache) throw new RangeError("Cannot build a block with two attentions: it has one cache");
  }

  rotate(x: Value, numHeads: number, rotation: RopeConfig): Value {
    return rotateIn(this.#pass, x, numHeads, rotation);
  }

  splitRows(rows: Value, counts: Value, numParts: number, numPerToken: number): Values {
    return this.#rowParts.split(rows, counts, numParts, numPerToken);
  }

  branch(name: string, x: Value, f: (x: Value) => Value): Value {
    const before = this.attention;
    const sum = this.#branches.add(name, x, () => {
      const change = f(x);
      const own = this.attention === before ? null : this.attention;
      const isDropped = this.#options.dropped.has(name);
      if (isDropped && own) this.links.cutsKeys = true;
      return { sum: add(x, isDropped ? stopGradient(change) : change), attention: own && own.options };
    });
    return this.#saved.save(`${name}.sum`, sum);
  }

  input(input: PassInput): Value {
    return this.#pass.input(input);
  }

  /** Returns the residual stream after a block, with any adapter on it. */
  residual(x: Value): Value {
    const spec = residualSite(sizeAt(x.shape, -1));
    return this.#sites.place(spec, IDENTITY, x, { ...this.#options, place: spec.name }).output;
  }

  /** Returns all inputs of the part except activations, by name. */
  inputs(): Record<string, Value> {
    const values = (map: ReadonlyMap<string, { readonly value: Value }>): Record<string, Value> =>
      Object.fromEntries([...map].map(([name, { value }]) => [name, value]));
    return {
      ...values(this.passInputs),
      ...values(this.tables),
      ...this.links.inputs,
      ...this.cache?.past,
      ...pastStates(this.states),
      ...this.tensors,
      ...this.#lookUps.inputs(),
      ...this.head.inputs(),
      ...this.adapter,
      ...Object.fromEntries(this.dropout.map(({ mask }) => [mask.name, mask])),
    };
  }
}
