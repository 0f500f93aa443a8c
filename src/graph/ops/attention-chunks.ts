/**
 * @file ONNX nodes of attention and of its gradient, chunk by chunk of the queries: one chunk's scores are alive at a time.
 *
 * ONNX Runtime orders nodes by what they read. The gradient's chunks would so be begun one after another and kept until the
 * sums over them are made; therefore a chunk's slices start at an offset that is computed, as zero, from what the chunk
 * before gave. That also keeps the gradient's scores from being taken for those of the forward pass, which would then be kept.
 */
import { DTYPES } from "../dtype.ts";
import { type Emitter, MICROSOFT } from "../emitter.ts";
import type { Node, Value } from "../graph.ts";
import type { AttentionAttributes, AttentionValues } from "./attention.ts";
import { type Places, emitMask } from "./attention-mask.ts";

const TO_THE_END = Number.MAX_SAFE_INTEGER;
/** Axis of tokens in [B, H, T, E] and in [B, T]. */
const TOKENS = 2;
const PLACES = 1;

/** Where tokens begin or end: a number, or the name of a computed one, int64 [1]. */
type Place = number | string;

/** A part of the tokens; `end` null: to the last. */
interface Range {
  readonly start: Place;
  readonly end: Place | null;
}

/** One chunk: its queries, and the keys that they can see, by their places in the row; null: all. */
interface Chunk {
  readonly queries: Range | null;
  readonly keys: Range | null;
}

/** What forward and gradient share: names of the inputs, and the nodes that both need. */
class Attending {
  readonly emitter: Emitter;
  readonly attributes: AttentionAttributes;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly numHeads: number;
  readonly numKeyHeads: number;
  readonly width: number;
  readonly chunks: readonly Chunk[];
  readonly #queryPlaces: Places;
  readonly #keyPlaces: Places;

  constructor(emitter: Emitter, attributes: AttentionAttributes, inputs: AttentionValues) {
    const [query, key, value, querySegments, queryPositions, keySegments, keyPositions] = inputs;
    this.emitter = emitter;
    this.attributes = attributes;
    [this.query, this.key, this.value] = emitter.names([query, key, value] as const);
    this.numHeads = query.shape[1] as number;
    this.numKeyHeads = key.shape[1] as number;
    this.width = query.shape[3] as number;
    const narrow = (place: Value): string => {
      const name = emitter.name(place);
      return place.dtype === "int32" ? name : this.emit("Cast", [name], { to: DTYPES.int32.onnx });
    };
    this.#queryPlaces = { segments: narrow(querySegments), positions: narrow(queryPositions) };
    // The same without a cache.
    const own = querySegments === keySegments && queryPositions === keyPositions;
    this.#keyPlaces = own
      ? this.#queryPlaces
      : { segments: narrow(keySegments), positions: narrow(keyPositions) };
    this.chunks = this.#cut();
  }

  #cut(): Chunk[] {
    const { chunk, causal, window } = this.attributes;
    const { length, count } = chunk;
    if (count === 1) return [{ queries: null, keys: null }];
    const firstSeen = causal ? this.#firstSeen() : null;
    return Array.from({ length: count }, (_, i) => {
      const end = i === count - 1 ? null : (i + 1) * length;
      const queries = { start: i * length, end };
      if (firstSeen === null) return { queries, keys: null };
      const inWindow = window === null ? 0 : Math.max(0, i * length - window + 1);
      if (i === 0) return { queries, keys: { start: 0, end } };
      const inSegment = this.slice(firstSeen, 0, { start: i, end: i + 1 }, null);
      const start =
        inWindow === 0 ? inSegment : this.emit("Max", [inSegment, this.emitter.int64([inWindow])]);
      return { queries, keys: { start, end } };
    });
  }

  /** Of each chunk the first place in any row of the segment of its first query, int64 [count]. */
  #firstSeen(): string {
    const { length, count } = this.attributes.chunk;
    const { segments } = this.#queryPlaces;
    const starts = this.emitter.int64(Array.from({ length: count }, (_, i) => i * length));
    const own = this.emit("Unsqueeze", [
      this.emit("Gather", [segments, starts], { axis: PLACES }),
      this.emitter.int64([2]),
    ]);
    const same = this.emit("Equal", [own, this.emit("Unsqueeze", [segments, this.emitter.int64([1])])]); // [B, count, T]
    const bytes = this.emit("Cast", [same], { to: DTYPES.uint8.onnx });
    const first = this.emit("ArgMax", [bytes], { axis: 2, keepdims: 0 });
    return this.emit("ReduceMin", [first, this.emitter.int64([0])], { keepdims: 0 });
  }

  emit(opType: string, inputs: readonly string[], attributes: Parameters<Emitter["value"]>[2] = {}): string {
    return this.emitter.value(opType, inputs, attributes);
  }

  named(place: Place): string {
    return typeof place === "string" ? place : this.emitter.int64([place]);
  }

  /** A part of an axis; null: all of it. `after`: a computed zero that must be known before. */
  slice(x: string, axis: number, range: Range | null, after: string | null): string {
    if (!range) return x;
    const shifted = (place: Place): string =>
      after ? this.emit("Add", [this.named(place), after]) : this.named(place);
    const end = range.end === null ? this.named(TO_THE_END) : shifted(range.end);
    return this.emit("Slice", [x, shifted(range.start), end, this.emitter.int64([axis])]);
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.emit("Reshape", [x, this.emitter.int64(shape)]);
  }

  /** The heads of a group behind one another: [B, H, t, ?] as [B, K, G·t, ?]. */
  grouped(x: string, width: number): string {
    return this.reshape(x, [0, this.numKeyHeads, -1, width]);
  }

  product(
    a: string,
    b: string,
    how: { readonly transA?: number; readonly transB?: number; readonly alpha?: number },
  ): string {
    const { alpha = 1, ...transposed } = how;
    if (alpha === 1 && Object.keys(transposed).length === 0) return this.emit("MatMul", [a, b]);
    return this.emitter.value("FusedMatMul", [a, b], { ...transposed, alpha: { float: alpha } }, MICROSOFT);
  }

  /**
   * Weights [B, K, G·t, s] of queries [B, K, G·t, E] over keys [B, K, s, E]; `bent`: tanh of the scores, null if they are not
   * bent.
   */
  weights(
    query: string,
    key: string,
    { queries, keys }: Chunk,
    after: string | null,
  ): { readonly weights: string; readonly bent: string | null } {
    const { scale, softcap } = this.attributes;
    const places = ({ segments, positions }: Places, range: Range | null): Places => ({
      segments: this.slice(segments, PLACES, range, after),
      positions: this.slice(positions, PLACES, range, after),
    });
    const mask = emitMask(
      this.emitter,
      places(this.#queryPlaces, queries),
      places(this.#keyPlaces, keys),
      this.attributes,
    );
    let scores = this.product(query, key, { transB: 1, alpha: scale });
    let bent: string | null = null;
    if (softcap !== null) {
      bent = this.emit("Tanh", [this.emit("Div", [scores, this.emitter.scalar(softcap)])]);
      scores = this.emit("Mul", [bent, this.emitter.scalar(softcap)]);
    }
    const masked = this.emit("Add", [this.reshape(scores, [0, this.numHeads, -1, 0]), mask]);
    const weights = this.reshape(this.emit("Softmax", [masked], { axis: -1 }), [0, this.numKeyHeads, -1, 0]);
    return { weights, bent };
  }

  /** [B, T, H·E] as [B, H, T, E]. */
  byHead(x: string): string {
    return this.emit("Transpose", [x], { perm: [0, 2, 1, 3] });
  }
}

/** Writes the nodes of attention. */
export function emitAttention(node: Node<AttentionAttributes, AttentionValues>, emitter: Emitter): void {
  const a = new Attending(emitter, node.attributes, node.inputs);
  const outputs = a.chunks.map((chunk) => {
    const query = a.grouped(a.slice(a.query, TOKENS, chunk.queries, null), a.width);
    const { weights } = a.weights(query, a.slice(a.key, TOKENS, chunk.keys, null), chunk, null);
    const output = a.product(weights, a.slice(a.value, TOKENS, chunk.keys, null), {});
    return a.reshape(output, [0, a.numHeads, -1, a.width]);
  });
  const joined = outputs.length === 1 ? (outputs[0] as string) : a.emit("Concat", outputs, { axis: TOKENS });
  const shape = emitter.int64([0, 0, a.numHeads * a.width]);
  emitter.node("Reshape", [a.byHead(joined), shape], emitter.names(node.outputs));
}

/** Writes the nodes of the gradient. */
export function emitAttentionGradient(
  node: Node<
    AttentionAttributes,
    readonly [...AttentionValues, output: Value, gradient: Value],
    readonly [Value, Value, Value]
  >,
  emitter: Emitter,
): void {
  const [query, key, value, q, p, s, t, output, gradient] = node.inputs;
  const a = new Attending(emitter, node.attributes, [query, key, value, q, p, s, t]);
  const { scale } = node.attributes;
  const [out, dOut] = [output, gradient].map((x) =>
    a.reshape(emitter.name(x), [0, 0, a.numHeads, a.width]),
  ) as [string, string];
  const dHeads = a.byHead(dOut);
  // -Σ do ∘ o as one more column, against ones: the product with the values then subtracts it.
  const dots = a.emit("ReduceSum", [a.emit("Mul", [out, dOut]), emitter.int64([3])], { keepdims: 1 });
  const dWide = a.emit("Concat", [dHeads, a.byHead(a.emit("Neg", [dots]))], { axis: 3 });
  const one = [emitter.int64([0, 1]), emitter.scalar(1), emitter.int64([3])];
  const wide = a.emit("Pad", [a.value, ...one]);
  const dQueries: string[] = [];
  const [dKeys, dValues] = [new RowSums(a), new RowSums(a)];
  let after = a.chunks.length === 1 ? null : zeroFrom(a, [emitter.name(gradient)]);
  for (const chunk of a.chunks) {
    const rows = (x: string, width: number): string =>
      a.grouped(a.slice(x, TOKENS, chunk.queries, after), width);
    const seen = (x: string): string => a.slice(x, TOKENS, chunk.keys, after);
    const [own, keys] = [rows(a.query, a.width), seen(a.key)];
    const { weights, bent } = a.weights(own, keys, chunk, after);
    const dWeights = a.product(rows(dWide, a.width + 1), seen(wide), { transB: 1 });
    let dScores = a.emit("Mul", [weights, dWeights]);
    if (bent !== null) {
      const slope = a.emit("Sub", [emitter.scalar(1), a.emit("Mul", [bent, bent])]);
      dScores = a.emit("Mul", [dScores, slope]);
    }
    const dQuery = a.product(dScores, keys, { alpha: scale });
    dQueries.push(a.reshape(dQuery, [0, a.numHeads, -1, a.width]));
    dKeys.add(a.product(dScores, own, { transA: 1, alpha: scale }), chunk.keys);
    dValues.add(a.product(weights, rows(dHeads, a.width), { transA: 1 }), chunk.keys);
    if (after !== null) after = zeroFrom(a, [dQuery, dKeys.sum, dValues.sum]);
  }
  const [dQuery, dKey, dValue] = emitter.names(node.outputs);
  emitter.node("Concat", dQueries, [dQuery], { axis: TOKENS });
  dKeys.finish(dKey);
  dValues.finish(dValue);
}

/** A zero, int64 [1], that is known when the values are: from the first of their sizes, which no optimiser knows. */
function zeroFrom(a: Attending, values: readonly string[]): string {
  const sizes = values.map((value) => a.emit("Shape", [value], { start: 0, end: 1 }));
  return a.emit("Min", [...sizes, a.emitter.int64([0])]);
}

/** Sums of rows that overlap, in rising order; rows that no later part reaches are left out of the sum. */
class RowSums {
  readonly #a: Attending;
  readonly #done: string[] = [];
  #start: Place = 0;
  #sum: string | null = null;

  constructor(a: Attending) {
    this.#a = a;
  }

  /** The rows that are not done. */
  get sum(): string {
    return this.#sum as string;
  }

  /** Adds rows [B, K, s, E] that begin at or behind the last ones' beginning, and end at or behind their end. */
  add(rows: string, range: Range | null): void {
    const a = this.#a;
    if (this.#sum === null) {
      this.#sum = rows;
      return;
    }
    let rest = this.#sum;
    if (range) {
      const numDone = a.emit("Sub", [a.named(range.start), a.named(this.#start)]);
      this.#done.push(a.slice(rest, TOKENS, { start: 0, end: numDone }, null));
      rest = a.slice(rest, TOKENS, { start: numDone, end: null }, null);
      this.#start = range.start;
    }
    if (range) {
      const size = (x: string): string => a.emit("Shape", [x], { start: TOKENS, end: TOKENS + 1 });
      const more = a.emit("Sub", [size(rows), size(rest)]);
      const pads = a.emit("Concat", [a.emitter.int64([0]), more], { axis: 0 });
      rest = a.emit("Pad", [rest, pads, a.emitter.scalar(0), a.emitter.int64([TOKENS])]);
    }
    this.#sum = a.emit("Add", [rest, rows]);
  }

  finish(output: string): void {
    this.#a.emitter.node("Concat", [...this.#done, this.sum], [output], { axis: TOKENS });
  }
}
