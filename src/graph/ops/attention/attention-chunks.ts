/**
 * @file ONNX nodes of attention and of its gradient, chunk by chunk of the queries: one chunk's scores are alive at a time.
 *
 * ONNX Runtime orders nodes by what they read. The gradient's chunks would so be begun one after another and kept until the
 * sums over them are made; therefore a chunk's slices start at an offset that is computed, as zero, from what the chunk
 * before gave. That also keeps the gradient's scores from being taken for those of the forward pass, which would then be kept.
 */
import type { Emitter } from "../../emitter.ts";
import type { Node, Value } from "../../graph.ts";
import { Attending, TOKENS } from "./attending.ts";
import type { AttentionAttributes, AttentionValues } from "./attention-values.ts";
import { TokenSums } from "./token-sums.ts";

/** What nodes are written for: an operation, or another with less. */
type NodeParts<N> = Omit<N, "op">;

/** A bias of the scores, [B or 1, H, T, S], and what its gradient is written into, [B, H, T, S]. */
interface Bias {
  readonly value: Value;
  readonly gradient: Value;
}

/** Writes the nodes of attention; `bias`: what is added to the scores. */
export function emitAttention(
  node: NodeParts<Node<AttentionAttributes, AttentionValues>>,
  emitter: Emitter,
  bias: Value | null = null,
): void {
  const a = new Attending(emitter, node.attributes, node.inputs, bias);
  const outputs = a.chunks.map((chunk) => {
    const query = a.grouped(a.slice(a.query, TOKENS, chunk.queries, null), a.width, chunk);
    const { weights } = a.weights(query, a.slice(a.key, TOKENS, chunk.keys, null), chunk, null);
    const output = a.product(weights, a.slice(a.value, TOKENS, chunk.keys, null), {}, chunk);
    return a.reshape(output, [0, a.numHeads, -1, a.width]);
  });
  const joined = outputs.length === 1 ? outputs[0]! : a.emit("Concat", outputs, { axis: TOKENS });
  const shape = emitter.int64([0, 0, a.numHeads * a.width]);
  emitter.node("Reshape", [a.byHead(joined), shape], emitter.names(node.outputs));
}

/** Writes the nodes of the gradient, and of that of a bias. */
export function emitAttentionGradient(
  node: NodeParts<
    Node<
      AttentionAttributes,
      readonly [...AttentionValues, output: Value, gradient: Value],
      readonly [Value, Value, Value]
    >
  >,
  emitter: Emitter,
  bias: Bias | null = null,
): void {
  const [query, key, value, q, p, s, t, output, gradient] = node.inputs;
  const a = new Attending(emitter, node.attributes, [query, key, value, q, p, s, t], bias && bias.value);
  const { scale } = node.attributes;
  const heads = (x: Value): string => a.reshape(emitter.name(x), [0, 0, a.numHeads, a.width]);
  const [out, dOut] = [heads(output), heads(gradient)];
  const dHeads = a.byHead(dOut);
  // -Σ do ∘ o as one more column, against ones: the product with the values then subtracts it.
  const dots = a.emit("ReduceSum", [a.emit("Mul", [out, dOut]), emitter.int64([3])], { keepdims: 1 });
  const dWide = a.emit("Concat", [dHeads, a.byHead(a.emit("Neg", [dots]))], { axis: 3 });
  const one = [emitter.int64([0, 1]), emitter.scalar(1), emitter.int64([3])];
  const wide = a.emit("Pad", [a.value, ...one]);
  const dQueries: string[] = [];
  const dBiases: string[] = [];
  const [dKeys, dValues] = [new TokenSums(a), new TokenSums(a)];
  let after = a.chunks.length === 1 ? null : zeroFrom(a, [emitter.name(gradient)]);
  for (const chunk of a.chunks) {
    const rows = (x: string, width: number): string =>
      a.grouped(a.slice(x, TOKENS, chunk.queries, after), width, chunk);
    const seen = (x: string): string => a.slice(x, TOKENS, chunk.keys, after);
    const [own, keys] = [rows(a.query, a.width), seen(a.key)];
    const { weights, bent } = a.weights(own, keys, chunk, after);
    const dWeights = a.product(rows(dWide, a.width + 1), seen(wide), { transB: 1 }, chunk);
    let dScores = a.emit("Mul", [weights, dWeights]);
    if (bias) dBiases.push(a.reshape(dScores, [0, a.numHeads, ...a.perHead(chunk)]));
    if (bent !== null) {
      const slope = a.emit("Sub", [emitter.scalar(1), a.emit("Mul", [bent, bent])]);
      dScores = a.emit("Mul", [dScores, slope]);
    }
    const dQuery = a.product(dScores, keys, { alpha: scale }, chunk);
    dQueries.push(a.reshape(dQuery, [0, a.numHeads, -1, a.width]));
    dKeys.add(a.product(dScores, own, { transA: 1, alpha: scale }, chunk), chunk.keys);
    dValues.add(a.product(weights, rows(dHeads, a.width), { transA: 1 }, chunk), chunk.keys);
    if (after !== null) after = zeroFrom(a, [dQuery, ...dKeys.latest, ...dValues.latest]);
  }
  const [dQuery, dKey, dValue] = emitter.names(node.outputs);
  if (bias) emitter.node("Concat", dBiases, [emitter.name(bias.gradient)], { axis: TOKENS });
  emitter.node("Concat", dQueries, [dQuery], { axis: TOKENS });
  dKeys.finish(dKey);
  dValues.finish(dValue);
}

/** Computes a zero, int64 [1], from the first size of each value: an optimiser cannot fold it, so it is known only after the values. */
function zeroFrom(a: Attending, values: readonly string[]): string {
  const sizes = values.map((value) => a.emit("Shape", [value], { start: 0, end: 1 }));
  return a.emit("Min", [...sizes, a.emitter.int64([0])]);
}
