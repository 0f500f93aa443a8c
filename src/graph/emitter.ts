/** @file Collects the ONNX nodes, constants and names of one program. */
import { type DType, type TensorData, constantKey } from "./dtype.ts";
import { type Shape, knownShape } from "./shape.ts";

/** What the emitter needs to know of a value of a graph. */
interface NamedValue {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  /** What makes it; null for an input. */
  readonly node: object | null;
  readonly graph: { readonly constantData: { get(value: NamedValue): TensorData | undefined } };
}

/** The end of a range of `Slice` that reaches to the end of the axis. */
export const TO_THE_END = Number.MAX_SAFE_INTEGER;

/** An attribute of an ONNX node; plain numbers are integers, floats are given as `{ float }`. */
export type OnnxAttribute = number | readonly number[] | string | { readonly float: number };

interface OnnxNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

interface OnnxConstant {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** The traits of a processor that decide which nodes a program is made of. */
export interface Target {
  /**
   * Products of unsigned and signed bytes are added in pairs, in 16 bits, which overflow; so both factors must be unsigned. This
   * is the case on x86 processors without instructions for sums of four (VNNI).
   */
  readonly bytePairsOverflow: boolean;
}

/** A processor that needs no special care. */
export const PLAIN_TARGET: Target = { bytePairsOverflow: false };

export class Emitter {
  readonly nodes: OnnxNode[] = [];
  readonly constants: OnnxConstant[] = [];
  /** Values between nodes whose shapes are written to the file. */
  readonly declared = new Set<NamedValue>();
  readonly #names = new Map<NamedValue, string>();
  readonly #constantNames = new Map<string, string>();
  readonly #shared = new Map<string, string>();
  readonly target: Target;
  #numTemporaries = 0;

  constructor(target: Target) {
    this.target = target;
  }

  /** Gives a value the name under which the program takes or returns it. */
  setName(value: NamedValue, name: string): void {
    this.#names.set(value, name);
  }

  /** The name of a value in the file. */
  name(value: NamedValue): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const data = value.graph.constantData.get(value);
    const name = data ? this.constant(value.dtype, knownShape(value.shape), data) : `%v${value.id}`;
    this.#names.set(value, name);
    return name;
  }

  /** Writes the shape of a value into the file; for values whose shape ONNX Runtime would infer differently. */
  declare(value: NamedValue): void {
    if (value.node) this.declared.add(value);
  }

  /** The names of values in the file, in their order. */
  names<V extends readonly NamedValue[]>(values: V): { readonly [K in keyof V]: string } {
    return values.map((value) => this.name(value)) as { readonly [K in keyof V]: string };
  }

  /** A fresh name for a value between two ONNX nodes of one operation. */
  temporary(): string {
    return `%t${this.#numTemporaries++}`;
  }

  /** Adds a constant, once for equal data, and returns its name. */
  constant(dtype: DType, shape: readonly number[], data: TensorData): string {
    const key = constantKey(dtype, shape, data);
    let name = this.#constantNames.get(key);
    if (name === undefined) {
      name = `%c${this.constants.length}`;
      this.#constantNames.set(key, name);
      this.constants.push({ name, dtype, shape, data });
    }
    return name;
  }

  /** Returns the name of a result that several operations share; the first of them adds its nodes. */
  shared(key: string, add: () => string): string {
    const name = this.#shared.get(key) ?? add();
    this.#shared.set(key, name);
    return name;
  }

  /** Adds an int64 vector constant. */
  int64(values: readonly number[]): string {
    return this.shared(`int64 ${values.join()}`, () =>
      this.constant("int64", [values.length], BigInt64Array.from(values, BigInt)),
    );
  }

  /** Adds an int64 scalar constant. */
  int64Scalar(value: number): string {
    return this.constant("int64", [], BigInt64Array.of(BigInt(value)));
  }

  /** Adds a float32 scalar constant. */
  scalar(value: number): string {
    return this.constant("float32", [], Float32Array.of(value));
  }

  /** Adds one ONNX node; operators that are not ONNX's own begin with their domain: `com.microsoft.FusedMatMul`. */
  node(
    operator: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): void {
    const dot = operator.lastIndexOf(".");
    const [domain, opType] = [operator.slice(0, Math.max(0, dot)), operator.slice(dot + 1)];
    this.nodes.push({ opType, domain, inputs, outputs, attributes });
  }

  /** Adds one ONNX node whose one output is read by other nodes of the same operation, and returns its name. */
  value(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    const output = this.temporary();
    this.node(operator, inputs, [output], attributes);
    return output;
  }

  /**
   * Adds a zero, int64 [1], that is computed from the first size of each value: no optimiser can fold it, so it is known only
   * after the values.
   */
  zeroAfter(values: readonly string[]): string {
    const sizes = values.map((value) => this.value("Shape", [value], { start: 0, end: 1 }));
    return this.value("Min", [...sizes, this.int64([0])]);
  }

  /** Adds the one ONNX node that computes a whole operation, with the operation's inputs and outputs. */
  simple(
    node: { readonly inputs: readonly NamedValue[]; readonly outputs: readonly NamedValue[] },
    operator: string,
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): void {
    this.node(operator, this.names(node.inputs), this.names(node.outputs), attributes);
  }
}
