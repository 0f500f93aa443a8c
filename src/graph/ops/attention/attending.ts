/** @file What attention and its gradient share: chunks of queries with the keys that they can see, and the nodes of one chunk. */
import { DTYPES } from "../../dtype.ts";
import { TO_THE_END, type Emitter } from "../../emitter.ts";
import type { Value } from "../../graph.ts";
import { sizeAt } from "../../shape.ts";
import type { AttentionAttributes, BesideScores, ValuesAndMore } from "./attention-values.ts";
import { type PlaceNames, emitMask } from "./attention-mask.ts";

/** Axis of tokens in [B, H, T, E] and in [B, T]. */
export const TOKENS = 2;
const PLACES = 1;

/**
 * Threads share out whole products, one for each key head of each row. With an odd number of them, as for one row and three
 * heads, one of two threads idles during the last. So in long rows, of which a batch has few, each product is split into two of
 * half the queries. In short rows the sums over halves cost more than that saves.
 */
const NUM_HALVES = 2;
const FEW_CHUNKS = 4;

/** An index of a token: a number, or the name of a computed one, int64 [1]. */
export type TokenPlace = number | string;

/** A range of tokens; `end` null: up to the last one. */
export interface Range {
  readonly start: TokenPlace;
  readonly end: TokenPlace | null;
}

/** One chunk: ranges of its queries and of the keys that they can see; null: all. */
interface Chunk {
  readonly queries: Range | null;
  readonly keys: Range | null;
  /** Rows of half a chunk: half its queries times the heads of a group. Null: products are not split. */
  readonly halfRows: number | null;
}

/** Transposes and factor of a product. */
interface ProductOptions {
  readonly transA?: number;
  readonly transB?: number;
  readonly alpha?: number;
}

/** What forward and gradient share: names of the inputs, and the nodes that both need. */
export class Attending {
  readonly emitter: Emitter;
  readonly attributes: AttentionAttributes;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly numHeads: number;
  readonly numKeyHeads: number;
  readonly width: number;
  readonly chunks: readonly Chunk[];
  /** What is added to the scores, [B or 1, H, T, S]; null: nothing. */
  readonly #bias: string | null;
  /** Logits of the sinks, [1, H, 1, 1]; null: there are none. */
  readonly #sinks: string | null;
  readonly #queryPlaces: PlaceNames;
  readonly #keyPlaces: PlaceNames;

  constructor(
    emitter: Emitter,
    attributes: AttentionAttributes,
    inputs: ValuesAndMore,
    { bias, sinks }: BesideScores,
  ) {
    const [query, key, value, querySegments, queryPositions, keySegments, keyPositions] = inputs;
    this.emitter = emitter;
    this.attributes = attributes;
    [this.query, this.key, this.value] = emitter.names([query, key, value] as const);
    this.numHeads = sizeAt(query.shape, 1);
    this.numKeyHeads = sizeAt(key.shape, 1);
    this.width = sizeAt(query.shape, 3);
    this.#bias = bias ? emitter.name(bias) : null;
    this.#sinks = sinks ? this.reshape(emitter.name(sinks), [1, this.numHeads, 1, 1]) : null;
    const narrow = (place: Value): string => {
      const name = emitter.name(place);
      return place.dtype === "int32" ? name : this.emit("Cast", [name], { to: DTYPES.int32.onnx });
    };
    this.#queryPlaces = { segments: narrow(querySegments), positions: narrow(queryPositions) };
    // Without a cache, segments and positions of the keys are those of the queries.
    const own = querySegments === keySegments && queryPositions === keyPositions;
    this.#keyPlaces = own
      ? this.#queryPlaces
      : { segments: narrow(keySegments), positions: narrow(keyPositions) };
    this.chunks = this.#cut();
  }

  #cut(): Chunk[] {
    const { chunk, causal, window } = this.attributes;
    const { length, count } = chunk;
    if (count === 1) return [{ queries: null, keys: null, halfRows: null }];
    const half = (length * (this.numHeads / this.numKeyHeads)) / NUM_HALVES;
    const isOdd = this.numKeyHeads > 1 && this.numKeyHeads % 2 === 1;
    const halvesWhole = count >= FEW_CHUNKS && isOdd && Number.isInteger(half);
    const firstSeen = causal ? this.#firstSeen() : null;
    return Array.from({ length: count }, (_, i) => {
      const end = i === count - 1 ? null : (i + 1) * length;
      const queries = { start: i * length, end };
      const halfRows = halvesWhole && end !== null ? half : null;
      const inWindow = window === null ? 0 : Math.max(0, i * length - window + 1);
      if (firstSeen === null) {
        if (window === null) return { queries, keys: null, halfRows };
        return { queries, keys: { start: inWindow, end: end && end + window - 1 }, halfRows };
      }
      if (i === 0) return { queries, keys: { start: 0, end }, halfRows };
      const inSegment = this.slice(firstSeen, 0, { start: i, end: i + 1 }, null);
      const start =
        inWindow === 0 ? inSegment : this.emit("Max", [inSegment, this.emitter.int64([inWindow])]);
      return { queries, keys: { start, end }, halfRows };
    });
  }

  /** For each chunk, the smallest index over all rows at which the segment of its first query begins, int64 [count]. */
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

  emit(
    operator: string,
    inputs: readonly string[],
    attributes: Parameters<Emitter["value"]>[2] = {},
  ): string {
    return this.emitter.value(operator, inputs, attributes);
  }

  named(place: TokenPlace): string {
    return typeof place === "string" ? place : this.emitter.int64([place]);
  }

  /** Slices an axis; range null: all of it. `after`: a computed zero that delays the slice until it is known. */
  slice(x: string, axis: number, range: Range | null, after: string | null): string {
    if (!range) return x;
    const shifted = (place: TokenPlace): string =>
      after ? this.emit("Add", [this.named(place), after]) : this.named(place);
    const end = range.end === null ? this.named(TO_THE_END) : shifted(range.end);
    return this.emit("Slice", [x, shifted(range.start), end, this.emitter.int64([axis])]);
  }

  /** Appends a row of zeros for the sink to the keys or values [B, K, s, ?] of a chunk. */
  withSink(x: string): string {
    if (this.#sinks === null) return x;
    const emitter = this.emitter;
    return this.emit("Pad", [x, emitter.int64([0, 1]), emitter.scalar(0), emitter.int64([TOKENS])]);
  }

  /** Removes the row of the sink from keys or values. */
  withoutSink(x: string): string {
    return this.#sinks === null ? x : this.slice(x, TOKENS, { start: 0, end: -1 }, null);
  }

  /** Sums the scores of the sink, the last key, over rows and queries: [H]. */
  sumOfSinks(scores: string): string {
    const last = this.emit("Slice", [scores, ...[-1, TO_THE_END, -1].map((at) => this.named(at))]);
    const byHead = this.reshape(last, [0, this.numHeads, -1]);
    return this.emit("ReduceSum", [byHead, this.emitter.int64([0, 2])], { keepdims: 0 });
  }

  /** Appends the scores of the sinks to scores [B, H, t, s]. */
  #withSinks(scores: string): string {
    if (this.#sinks === null) return scores;
    const rows = this.emit("Shape", [scores], { start: 0, end: 3 });
    const shape = this.emit("Concat", [rows, this.emitter.int64([1])], { axis: 0 });
    return this.emit("Concat", [scores, this.emit("Expand", [this.#sinks, shape])], { axis: 3 });
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.emit("Reshape", [x, this.emitter.int64(shape)]);
  }

  /** Joins the heads of a group: [B, H, t, ?] as [B, K, G·t, ?], or in halves, [B, K, 2, G·t/2, ?]. */
  grouped(x: string, width: number, { halfRows }: Chunk): string {
    const rows = halfRows === null ? [-1] : [NUM_HALVES, halfRows];
    return this.reshape(x, [0, this.numKeyHeads, ...rows, width]);
  }

  /** Multiplies a grouped tensor of a chunk by [B, K, ?, ?]; with `transA` both are grouped, and the product sums over the queries. */
  product(a: string, b: string, how: ProductOptions, { halfRows }: Chunk): string {
    if (halfRows === null) return this.#product(a, b, how);
    const halves = this.emitter.int64([2]);
    if (!how.transA) return this.#product(a, this.emit("Unsqueeze", [b, halves]), how);
    return this.emit("ReduceSum", [this.#product(a, b, how), halves], { keepdims: 0 });
  }

  #product(a: string, b: string, { alpha = 1, ...transposed }: ProductOptions): string {
    if (alpha === 1 && Object.keys(transposed).length === 0) return this.emit("MatMul", [a, b]);
    return this.emitter.value("com.microsoft.FusedMatMul", [a, b], {
      ...transposed,
      alpha: { float: alpha },
    });
  }

  /**
   * Weights [B, K, G·t, s] of grouped queries [B, K, G·t, E] over keys [B, K, s, E], followed by those of the sinks if there are
   * any; `bent`: tanh of the scores, null if they are not capped.
   */
  weights(
    query: string,
    key: string,
    chunk: Chunk,
    after: string | null,
  ): { readonly weights: string; readonly bent: string | null } {
    const { scale, softcap } = this.attributes;
    const places = ({ segments, positions }: PlaceNames, range: Range | null): PlaceNames => ({
      segments: this.slice(segments, PLACES, range, after),
      positions: this.slice(positions, PLACES, range, after),
    });
    const mask = emitMask(
      this.emitter,
      places(this.#queryPlaces, chunk.queries),
      places(this.#keyPlaces, chunk.keys),
      this.attributes,
    );
    let scores = this.product(query, key, { transB: 1, alpha: scale }, chunk);
    let bent: string | null = null;
    if (softcap !== null) {
      bent = this.emit("Tanh", [this.emit("Div", [scores, this.emitter.scalar(softcap)])]);
      scores = this.emit("Mul", [bent, this.emitter.scalar(softcap)]);
    }
    const { halfRows } = chunk;
    const byHead = this.reshape(scores, [0, this.numHeads, ...this.perHead(chunk)]);
    const masked = this.emit("Add", [this.#biased(byHead, chunk, after), mask]);
    const perGroup = halfRows === null ? [-1, 0] : [NUM_HALVES, halfRows, -1];
    const softmax = this.emit("Softmax", [this.#withSinks(masked)], { axis: -1 });
    return { weights: this.reshape(softmax, [0, this.numKeyHeads, ...perGroup]), bent };
  }

  /** The last two sizes of the scores by head, for a reshape from grouped ones [B, K, G·t, s]. */
  perHead({ halfRows }: Chunk): readonly number[] {
    return halfRows === null ? [-1, 0] : [this.attributes.chunk.length, -1];
  }

  /** Adds the bias to the scores of a chunk, by head. */
  #biased(scores: string, { queries }: Chunk, after: string | null): string {
    if (this.#bias === null) return scores;
    return this.emit("Add", [scores, this.slice(this.#bias, TOKENS, queries, after)]);
  }

  /** [B, T, H·E] as [B, H, T, E]. */
  byHead(x: string): string {
    return this.emit("Transpose", [x], { perm: [0, 2, 1, 3] });
  }
}
