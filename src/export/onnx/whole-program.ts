/**
 * @file A whole decoder as one program, as ONNX files of models have it: ids and a mask in, logits out, and the keys and values
 * of each block by heads, those of earlier tokens in and those of all out.
 */
import type { DType } from "../../graph/dtype.ts";
import { Graph, type Value, applyAgain, placeIn } from "../../graph/graph.ts";
import { maskLengths } from "../../graph/ops/attention/mask-lengths.ts";
import { type ProgramSpec, neededInputs, nodesOf } from "../../graph/program.ts";
import type { Dim, Shape } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import { PAST_KEY, PAST_VALUE } from "../../models/graphs/part-attention.ts";
import { type TensorRead, operandNames } from "../../models/graphs/part-tensors.ts";
import { LAST_KEY, NUM_KEYS, POSITIONS, type PassInput, type PositionTable } from "../../nn/pass.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import { arithmeticOf } from "../../run/arithmetic.ts";
import { headArithmetic, prepareAll, splitReads } from "../../run/head/head-graph.ts";
import type { Session } from "../../run/session.ts";
import { type Tensors, hostTensor } from "../../runtime/host-tensor.ts";
import { requireExportable, unexportable } from "./require-exportable.ts";
import { tableInCodes } from "./table-in-codes.ts";

/** Tensors that are made together. */
export interface TensorGroup {
  /** Their inputs, in the order in which files have them. */
  readonly names: readonly string[];
  /** Has `use` read them, by name; they are given back when it is done. @throws as the model's source */
  lend(use: (tensors: Tensors) => Promise<void>): Promise<void>;
}

/** A program with the tensors that lie beside it. */
export interface WholeProgram {
  readonly spec: ProgramSpec;
  readonly tensors: readonly TensorGroup[];
  /** Of what is given to it and what it gives, in the words of such files. */
  readonly shapes: ReadonlyMap<string, Shape>;
}

/** Builds the program of a model with an adapter on it. @throws UsageError "usage/model" */
export function wholeProgram(session: Session, adapter: AdapterView): WholeProgram {
  requireExportable(session.base);
  const whole = new Whole(session, adapter);
  whole.addStem();
  for (const layer of session.model.layers.keys()) whole.addBlock(layer);
  whole.addHead();
  return whole.program();
}

/** Sizes that differ from run to run, as readers of such files know them. */
const SIZES: Readonly<Record<string, string>> = {
  B: "batch_size",
  T: "sequence_length",
  P: "past_sequence_length",
  "P+T": "total_sequence_length",
};

const inWords = (size: Dim): Dim => SIZES[size] ?? size;

/** A part that goes behind those before it. */
interface Piece extends BuiltPart {
  /** What an input of it is called in the whole. */
  readonly nameOf: (input: string) => string;
  /** What is wanted of it, beside y. */
  readonly ends?: Readonly<Record<string, Value>>;
  /** The input for keys and values of earlier tokens. */
  readonly past?: (name: string, like: Value) => Value;
}

class Whole {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  readonly #graph = new Graph();
  readonly #inputs: Record<string, Value> = {};
  readonly #outputs: Record<string, Value> = {};
  readonly #shapes = new Map<string, Shape>();
  readonly #tensors: TensorGroup[] = [];
  readonly #lengths: ReadonlyMap<PassInput, Value>;
  /** What the part before gives. */
  #x: Value;

  constructor(session: Session, adapter: AdapterView) {
    this.#session = session;
    this.#adapter = adapter;
    this.#x = this.#given("input_ids", "int64", ["B", "T"]);
    const [lastKey, numKeys] = maskLengths(this.#given("attention_mask", "int64", ["B", "P+T"]));
    this.#lengths = new Map([
      [LAST_KEY, lastKey],
      [NUM_KEYS, numKeys],
    ]);
  }

  program(): WholeProgram {
    const spec = { name: this.#session.model.modelType, inputs: this.#inputs, outputs: this.#outputs };
    return { spec, tensors: this.#tensors, shapes: this.#shapes };
  }

  addStem(): void {
    const table = tableInCodes(this.#session, this.#adapter);
    const options = partWith(this.#adapter, null);
    const built = this.#session.model.buildStem({
      ...options,
      isGathered: () => false,
      lookUp: (graph) => options.lookUp(table ? { ...graph, rows: table.rowsIn(graph) } : graph),
    });
    const { names } = this.#add({ ...built, nameOf: (name) => name });
    this.#lendOutside(names, table ? [table] : []);
  }

  addBlock(layer: number): void {
    const { model, weights } = this.#session;
    const prefix = model.blockPrefix(layer);
    const { product, isSmoothed } = arithmeticOf(this.#session, this.#adapter, layer);
    const built = model.buildBlock(layer, {
      ...partWith(this.#adapter, layer),
      product,
      isSmoothed,
      cache: "heads",
    });
    const { newKey, newValue } = built.part.attention!.outputs;
    const kept = { [PAST_KEY]: "key", [PAST_VALUE]: "value" } as Readonly<Record<string, string>>;
    const { names, made } = this.#add({
      ...built,
      nameOf: (name) => prefix + name,
      ends: { key: newKey, value: newValue },
      past: (name, { dtype, shape: [B, K, , E] }) =>
        this.#given(`past_key_values.${layer}.${kept[name]}`, dtype, [B!, K!, "P", E!]),
    });
    for (const [end, value] of Object.entries(made)) {
      const [B, K, , E] = value.shape;
      this.#give(`present.${layer}.${end}`, value, [B!, K!, "P+T", E!]);
    }
    const own = { ...this.#adapter.inputs(layer), ...this.#adapter.constants(layer) };
    const reads = built.part.readsOf(built.part.tensors);
    this.#tensors.push({
      names,
      lend: async (use) => {
        const loan = await weights.borrow(layer, reads);
        const tensors: Tensors = { ...loan.tensors, ...own };
        const lent = names.map((name) => [name, tensors[name.slice(prefix.length)]!] as const);
        await use(Object.fromEntries(lent)).finally(() => loan.release());
      },
    });
  }

  addHead(): void {
    const { model } = this.#session;
    const arithmetic = headArithmetic(this.#session, this.#adapter, "logits");
    const own = this.#adapter.inputs(null);
    const built = model.buildHead({ ...partWith(this.#adapter, null), ...arithmetic });
    // A tied matrix is the embedding's, unless the adapter holds them apart.
    const stored = (name: string): string => (name in own ? name : model.storedName(name));
    const { rounded } = splitReads(built.part);
    const operands = rounded.flatMap((read) =>
      operandNames(read).map((name) => [name, stored(read.tensor) + name.slice(read.tensor.length)] as const),
    );
    const full = new Map(operands);
    const { names } = this.#add({ ...built, nameOf: (name) => full.get(name) ?? stored(name) });
    this.#give("logits", this.#x);
    this.#lendOutside(
      names,
      rounded.map((read) => ({ ...read, tensor: stored(read.tensor) })),
    );
  }

  /** Lends tensors outside the blocks: the adapter's, those made of `reads`, or the base's. */
  #lendOutside(names: readonly string[], reads: readonly TensorRead[]): void {
    const { base } = this.#session;
    const own = this.#adapter.inputs(null);
    this.#lendEach(names, async (name) => {
      const made = await prepareAll(this.#session, reads);
      return own[name] ?? made[name] ?? (await base.read(name));
    });
  }

  #lendEach(names: readonly string[], read: (name: string) => Promise<Tensors[string]>): void {
    for (const name of names)
      this.#tensors.push({ names: [name], lend: async (use) => await use({ [name]: await read(name) }) });
  }

  /** What whoever runs the program gives. */
  #given(name: string, dtype: DType, shape: Shape): Value {
    this.#shapes.set(name, shape.map(inWords));
    return this.#input(name, dtype, shape);
  }

  /** What the program gives; `shape`: where it is longer than what it is made of. */
  #give(name: string, value: Value, shape = value.shape): void {
    this.#shapes.set(name, shape.map(inWords));
    this.#outputs[name] = value;
  }

  #input(name: string, dtype: DType, shape: Shape): Value {
    return (this.#inputs[name] ??= this.#graph.input(name, dtype, shape));
  }

  /** Puts a part behind those before it; returns the names of tensors that are new with it, and what it was asked for. */
  #add({ part, x, y, nameOf, ends = {}, past }: Piece): {
    readonly names: readonly string[];
    readonly made: Readonly<Record<string, Value>>;
  } {
    const outputs = { ...ends, y };
    const places = new Map([[x, this.#x]]);
    const names: string[] = [];
    const needed = neededInputs(outputs, part.inputs());
    for (const [name, value] of Object.entries(needed)) {
      const [input, table] = [part.passInputs.get(name)?.input, part.tables.get(name)?.table];
      if (input) places.set(value, this.#ofPass(input));
      else if (table) places.set(value, this.#table(table));
      else if (past && part.attention && name in part.attention.past) places.set(value, past(name, value));
      else {
        const full = nameOf(name);
        if (!(full in this.#inputs)) names.push(full);
        places.set(value, this.#input(full, value.dtype, value.shape));
      }
    }
    for (const node of nodesOf({ name: "part", inputs: { x, ...needed }, outputs })) {
      const given = node.inputs.map((value) => placeIn(this.#graph, value, places));
      applyAgain(node, this.#graph, given, places);
    }
    this.#x = places.get(y)!;
    const made = Object.fromEntries(Object.entries(ends).map(([name, value]) => [name, places.get(value)!]));
    return { names, made };
  }

  #ofPass(input: PassInput): Value {
    if (input === POSITIONS) return this.#given("position_ids", "int64", ["B", "T"]);
    const known = this.#lengths.get(input);
    if (known) return known;
    throw unexportable(this.#session.base, `it reads ${input.name}`, "ids, positions and a mask alone");
  }

  /** A table of as many positions as a text may have. */
  #table(table: PositionTable): Value {
    const { maxKeptPositions: numRows } = this.#session.model;
    const { name, width } = table;
    if (!(name in this.#inputs)) {
      const shape = [numRows, width];
      const make = (): Tensors[string] => hostTensor("float32", shape, table.rows(numRows, numRows));
      this.#lendEach([name], async () => make());
    }
    return this.#input(name, "float32", [numRows, width]);
  }
}
