/**
 * @file A whole model as one program, as usual in ONNX files of models: ids and a mask in, logits out. A model that writes text
 * also reads the keys and values of earlier tokens of each block, by heads, and outputs those of all tokens.
 */
import type { Value } from "../../graph/graph.ts";
import { markedRow } from "../../graph/ops/rows/marked-row.ts";
import { cast } from "../../graph/ops/shapes/cast.ts";
import type { ProgramSpec } from "../../graph/program.ts";
import type { Shape } from "../../graph/shape.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import { operandNames } from "../../models/graphs/part-tensors.ts";
import type { PassInput, PositionTable } from "../../nn/pass.ts";
import { type AdapterView, partWith } from "../../peft/adapter-view.ts";
import { arithmeticOf } from "../../run/arithmetic.ts";
import { headArithmetic, splitReads } from "../../run/head/head-graph.ts";
import type { Session } from "../../run/session.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { blockCache } from "./block-cache.ts";
import { textsOverCache, wholeTexts } from "./read-texts.ts";
import { requireExportable, unexportable } from "./require-exportable.ts";
import { tableInCodes } from "./table-in-codes.ts";
import { type TensorGroup, TensorGroups } from "./tensor-groups.ts";
import { WholeGraph } from "./whole-graph.ts";

/** A program with its tensors. */
export interface WholeProgram {
  readonly spec: ProgramSpec;
  readonly tensors: readonly TensorGroup[];
  /** Shapes of its inputs and outputs, in the words of such files. */
  readonly shapes: ReadonlyMap<string, Shape>;
}

/** Element type in which float matrices are stored; the program computes with them in float32. */
type KeptDType = "float32" | "float16";

/** Builds the program of a model with an adapter on it. @throws UsageError "usage/model" */
export function wholeProgram(session: Session, adapter: AdapterView, kept: KeptDType): WholeProgram {
  requireExportable(session.base);
  const builder = new ProgramBuilder(session, adapter, kept);
  builder.addStem();
  for (const layer of session.model.layers.keys()) builder.addBlock(layer);
  builder.addHead();
  return builder.program();
}

/** Maps a part's inputs to names in the whole program, and gives its keys and values of earlier tokens. */
interface PartInputs {
  readonly nameOf: (input: string) => string;
  /** By input name. */
  readonly past?: Readonly<Record<string, Value>>;
  /** Values of the part that are needed besides y. */
  readonly ends?: Readonly<Record<string, Value>>;
}

class ProgramBuilder {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  readonly #kept: KeptDType;
  readonly #whole = new WholeGraph();
  readonly #texts: ReturnType<typeof wholeTexts>;
  readonly #tensors: TensorGroups;
  /** Output of the previous part. */
  #x: Value;

  constructor(session: Session, adapter: AdapterView, kept: KeptDType) {
    const { model } = session;
    this.#session = session;
    this.#adapter = adapter;
    this.#kept = kept;
    this.#tensors = new TensorGroups(session, adapter);
    this.#texts = model.hasVocabularyHead ? textsOverCache(this.#whole) : wholeTexts(this.#whole, model);
    this.#x = this.#texts.ids;
  }

  program(): WholeProgram {
    return { ...this.#whole.program(this.#session.model.modelType), tensors: this.#tensors.all };
  }

  addStem(): void {
    const table = tableInCodes(this.#session, this.#adapter);
    const options = partWith(this.#adapter, null);
    const built = this.#session.model.buildStem({
      ...options,
      isGathered: () => false,
      lookUp: (graph) => options.lookUp(table ? { ...graph, rows: table.rowsIn(graph) } : graph),
    });
    const { names } = this.#add(built, { nameOf: (name) => name });
    this.#tensors.addOutside(names, table ? [table] : []);
  }

  addBlock(layer: number): void {
    const { model } = this.#session;
    const { product, isSmoothed } = arithmeticOf(this.#session, this.#adapter, layer);
    const cache = model.hasVocabularyHead ? blockCache(this.#whole, layer, model.layers[layer]!) : null;
    const options = { ...partWith(this.#adapter, layer), product, isSmoothed, cache: cache?.order ?? null };
    const built = model.buildBlock(layer, options);
    const nameOf = (name: string): string => model.tensorName(layer, name);
    const { newKey, newValue } = built.part.cache?.outputs ?? {};
    const ends = cache && newKey && newValue ? { newKey, newValue } : {};
    const { names, made } = this.#add(built, { nameOf, past: cache?.past ?? {}, ends });
    cache?.give(made["newKey"]!, made["newValue"]!);
    this.#tensors.addBlock(layer, names, built.part.readsOf(built.part.tensors));
  }

  addHead(): void {
    const { model } = this.#session;
    const arithmetic = headArithmetic(this.#session, this.#adapter, "logits");
    const own = this.#adapter.inputs(null);
    const built = model.buildHead({ ...partWith(this.#adapter, null), ...arithmetic });
    // A tied matrix is the embedding's, unless the adapter has its own.
    const stored = (name: string): string => (name in own ? name : model.storedName(name));
    const { rounded } = splitReads(built.part);
    const operands = rounded.flatMap((read) =>
      operandNames(read).map((name) => [name, stored(read.tensor) + name.slice(read.tensor.length)] as const),
    );
    const full = new Map(operands);
    const { marks } = this.#texts;
    if (marks) this.#x = markedRow(this.#x, marks, model.classPosition!);
    const { names } = this.#add(built, { nameOf: (name) => full.get(name) ?? stored(name) });
    this.#whole.give("logits", this.#x);
    this.#tensors.addOutside(
      names,
      rounded.map((read) => ({ ...read, tensor: stored(read.tensor) })),
    );
  }

  /** Appends a part; returns the names of its new tensors, and the requested values. */
  #add(
    built: BuiltPart,
    { nameOf, past = {}, ends = {} }: PartInputs,
  ): { readonly names: readonly string[]; readonly made: Readonly<Record<string, Value>> } {
    const names: string[] = [];
    const { passInputs, tables, specs } = built.part;
    const matrices = new Set(specs.filter(({ shape }) => shape.length > 1).map(({ name: matrix }) => matrix));
    const inputOf = (name: string, like: Value): Value => {
      const [input, table] = [passInputs.get(name)?.input, tables.get(name)?.table];
      if (input) return this.#ofPass(input);
      if (table) return this.#table(table);
      const earlier = past[name];
      if (earlier) return earlier;
      const full = nameOf(name);
      if (!this.#whole.has(full)) names.push(full);
      const { dtype, shape } = like;
      const isMatrix = dtype === "float32" && matrices.has(name);
      return cast(this.#whole.input(full, isMatrix ? this.#kept : dtype, shape), dtype);
    };
    const { y, made } = this.#whole.add(this.#x, { ...built, ends, inputOf });
    this.#x = y;
    return { names, made };
  }

  #ofPass(input: PassInput): Value {
    const make = this.#texts.ofPass.get(input.whereKept ?? input);
    if (make) return make();
    const [found, hint] = input.perPrompt
      ? ([
          "its adapter depends on where prompts end",
          "Use it with graft: graft generate, graft serve.",
        ] as const)
      : ([`it reads ${input.name}`] as const);
    throw unexportable(this.#session.base, found, "only ids, positions and a mask", hint);
  }

  /** A table with as many positions as a text may have. */
  #table(table: PositionTable): Value {
    const { maxPositions, numAlikePositions } = this.#session.model;
    const numRows = Math.min(maxPositions, numAlikePositions);
    const { name, width } = table;
    const shape = [numRows, width];
    if (!this.#whole.has(name))
      this.#tensors.addOne(name, () => hostTensor("float32", shape, table.rows(numRows)));
    return this.#whole.input(name, "float32", shape);
  }
}
