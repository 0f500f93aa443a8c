/**
 * @file Joins several programs into one. Products of several programs with a shared matrix become one product, so that rows of
 * different work take one pass over the weights. Everything else is computed as before.
 */
import { type AnyNode, type Attributes, Graph, type NodeOf, type Value, isNodeOf, placeIn } from "./graph.ts";
import { matmulParts } from "./ops/products/matmul-parts.ts";
import { matmulOp } from "./ops/products/matmul.ts";
import { type ProgramSpec, nodesOf } from "./program.ts";
import { type Shape, renameSymbols, termsOf } from "./shape.ts";

export interface ProgramPart {
  readonly spec: ProgramSpec;
  /** Inputs that are also inputs of the first part: their names here → their names there. */
  readonly shared: ReadonlyMap<string, string>;
}

/** Names an input or output of one part in the joined program. Those of the first part keep their names. */
export function inPart(part: number, name: string): string {
  return part === 0 ? name : `${part}/${name}`;
}

type MatmulNode = NodeOf<typeof matmulOp>;

/** Products of several parts with the same matrix, which become one product. */
interface Product {
  readonly matrix: Value;
  readonly transB: boolean;
  readonly members: { readonly part: PartCopy; readonly node: MatmulNode }[];
}

/** The joined program while it is built, to which all parts add. */
interface Whole {
  readonly graph: Graph;
  readonly inputs: Record<string, Value>;
  /** Products by matrix, attributes, and the number of earlier products with that matrix in their part. */
  readonly products: Map<string, Product>;
}

/** Joins programs into one, in which each part keeps symbols of its own for its sizes. */
export function joinPrograms(parts: readonly ProgramPart[]): ProgramSpec {
  const whole: Whole = { graph: new Graph(), inputs: {}, products: new Map() };
  const copies = parts.map((part, index) => new PartCopy(index, part, whole));
  const outputs: Record<string, Value> = {};
  const updates: Record<string, string> = {};
  for (const [index, { spec }] of parts.entries()) {
    const copy = copies[index]!;
    for (const [name, value] of Object.entries(spec.outputs))
      outputs[inPart(index, name)] = copy.place(value);
    for (const [output, input] of Object.entries(spec.updates ?? {}))
      updates[inPart(index, output)] = copy.inputName(input);
  }
  const name = parts.map(({ spec }) => spec.name).join("+");
  return { name, inputs: whole.inputs, outputs, updates };
}

/** Copies a part into the joined program; values are made there on demand. */
class PartCopy {
  readonly #index: number;
  readonly #part: ProgramPart;
  readonly #graph: Graph;
  readonly #rename: (attribute: unknown) => unknown;
  readonly #places = new Map<Value, Value>();
  readonly #products = new Map<AnyNode, Product>();

  constructor(index: number, part: ProgramPart, { graph, inputs, products }: Whole) {
    this.#index = index;
    this.#part = part;
    this.#graph = graph;
    this.#rename = index === 0 ? (attribute) => attribute : renaming(part.spec, `_${index}`);
    for (const [own, value] of Object.entries(part.spec.inputs)) {
      const name = this.inputName(own);
      const shape = this.#rename(value.shape) as Shape;
      this.#places.set(value, (inputs[name] ??= graph.input(name, value.dtype, shape)));
    }
    const counts = new Map<Value, number>();
    for (const node of nodesOf(part.spec)) {
      if (!isNodeOf(node, matmulOp) || !isPlain(node)) continue;
      const matrix = this.#places.get(node.inputs[1]);
      if (!matrix) continue;
      const count = counts.get(matrix) ?? 0;
      counts.set(matrix, count + 1);
      const key = JSON.stringify([matrix.name, node.attributes, count]);
      const product = products.get(key) ?? { matrix, transB: node.attributes.transB, members: [] };
      product.members.push({ part: this, node });
      products.set(key, product);
      this.#products.set(node, product);
    }
  }

  /** Names an input in the joined program. */
  inputName(name: string): string {
    return this.#part.shared.get(name) ?? inPart(this.#index, name);
  }

  /** Returns the counterpart of a part's value in the joined program. */
  place(value: Value): Value {
    if (value.node && !this.#places.has(value)) this.#apply(value.node);
    return placeIn(this.#graph, value, this.#places);
  }

  #apply(node: AnyNode): void {
    const product = this.#products.get(node);
    if (product && product.members.length > 1) {
      const { matrix, members, transB } = product;
      const rows = members.map((member) => member.part.place(member.node.inputs[0]));
      const made = matmulParts(rows, matrix, { transB });
      for (const [i, { part, node: own }] of members.entries()) part.#places.set(own.outputs[0], made[i]!);
      return;
    }
    const inputs = node.inputs.map((input) => this.place(input));
    const made = this.#graph.apply(node.op, inputs, this.#rename(node.attributes) as Attributes);
    for (const [i, output] of node.outputs.entries()) {
      // An output that the part is given as an input stays an input.
      if (!this.#places.has(output)) this.#places.set(output, made[i]!);
    }
  }
}

/** Whether a product is simply one of rows with a matrix of known sizes, or with its transpose. */
function isPlain({ inputs: [, { shape }], attributes: { transA, alpha } }: MatmulNode): boolean {
  const isKnown = shape.length === 2 && shape.every((dim) => typeof dim === "number");
  return !transA && alpha === 1 && isKnown;
}

/**
 * Returns a function that renames the symbols of a program's sizes in shapes and attributes, since two parts have different
 * numbers of rows.
 */
function renaming({ inputs }: ProgramSpec, ending: string): (attribute: unknown) => unknown {
  const sizes = Object.values(inputs).flatMap(({ shape }) => shape);
  const known = new Set(sizes.flatMap(termsOf).flatMap(({ symbols }) => symbols));
  const rename = (attribute: unknown): unknown => {
    if (typeof attribute === "string")
      return renameSymbols(attribute, (symbol) => (known.has(symbol) ? symbol + ending : symbol));
    if (Array.isArray(attribute)) return attribute.map(rename);
    if (attribute === null || typeof attribute !== "object") return attribute;
    return Object.fromEntries(Object.entries(attribute).map(([key, each]) => [key, rename(each)]));
  };
  return rename;
}
