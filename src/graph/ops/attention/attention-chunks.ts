/**
 * @file ONNX nodes of attention and of its gradient, chunk by chunk of the queries: one chunk's scores are alive at a time.
 *
 * ONNX Runtime orders nodes by what they read. So it would begin all chunks of the gradient and keep them until their sums are
 * made. Therefore a chunk's slices start at an offset, always zero, that is computed from the results of the chunk before. That
 * also keeps the gradient's scores from being merged with those of the forward pass, which would then be kept.
 */
import type { Emitter } from "../../emitter.ts";
import type { Node, Value } from "../../graph.ts";
import { Attending, TOKENS } from "./attending.ts";
import type { AttentionAttributes, BesideScores, ValuesAndMore } from "./attention-values.ts";
import { TokenSums } from "./token-sums.ts";

/** Writes the nodes of attention; `beside`: the values that enter the softmax beside the scores. */
export function emitAttention(
  node: Node<AttentionAttributes, ValuesAndMore>,
  emitter: Emitter,
  beside: BesideScores,
): void {
  const a = new Attending(emitter, node.attributes, node.inputs, beside);
  const outputs = a.chunks.map((chunk) => {
    const query = a.grouped(a.slice(a.query, TOKENS, chunk.queries, null), a.width, chunk);
    const { weights } = a.weights(query, a.slice(a.key, TOKENS, chunk.keys, null), chunk, null);
    const values = a.withSink(a.slice(a.value, TOKENS, chunk.keys, null));
    const output = a.product(weights, values, {}, chunk);
    return a.reshape(output, [0, a.numHeads, -1, a.width]);
  });
  const joined = outputs.length === 1 ? outputs[0]! : a.emit("Concat", outputs, { axis: TOKENS });
  const shape = emitter.int64([0, 0, a.numHeads * a.width]);
  emitter.node("Reshape", [a.byHead(joined), shape], emitter.names(node.outputs));
}

/** Writes the nodes of the gradient, including that of the values beside the scores. */
export function emitAttentionGradient(
  node: Node<
    AttentionAttributes,
    readonly [output: Value, gradient: Value, ...ValuesAndMore],
    readonly [Value, Value, Value, ...(readonly Value[])]
  >,
  emitter: Emitter,
  beside: BesideScores,
): void {
  const [output, gradient, ...values] = node.inputs;
  const a = new Attending(emitter, node.attributes, values, beside);
  const hasSinks = beside.sinks !== undefined;
  const { scale } = node.attributes;
  const heads = (x: Value): string => a.reshape(emitter.name(x), [0, 0, a.numHeads, a.width]);
  const [out, dOut] = [heads(output), heads(gradient)];
  const dHeads = a.byHead(dOut);
  // -Σ do ∘ o is one more column, and the values get a column of ones: their product then subtracts the sum.
  const dots = a.emit("ReduceSum", [a.emit("Mul", [out, dOut]), emitter.int64([3])], { keepdims: 1 });
  const dWide = a.emit("Concat", [dHeads, a.byHead(a.emit("Neg", [dots]))], { axis: 3 });
  const one = [emitter.int64([0, 1]), emitter.scalar(1), emitter.int64([3])];
  const widened = (x: string): string => a.emit("Pad", [x, ...one]);
  const wide = hasSinks ? null : widened(a.value);
  const dQueries: string[] = [];
  const dBeside: string[] = [];
  const [dKeys, dValues] = [new TokenSums(a), new TokenSums(a)];
  let after = a.chunks.length === 1 ? null : emitter.zeroAfter([emitter.name(gradient)]);
  for (const chunk of a.chunks) {
    const rows = (x: string, width: number): string =>
      a.grouped(a.slice(x, TOKENS, chunk.queries, after), width, chunk);
    const seen = (x: string): string => a.slice(x, TOKENS, chunk.keys, after);
    const [own, keys] = [rows(a.query, a.width), seen(a.key)];
    const { weights, bent } = a.weights(own, keys, chunk, after);
    const values = wide === null ? widened(a.withSink(seen(a.value))) : seen(wide);
    const dWeights = a.product(rows(dWide, a.width + 1), values, { transB: 1 }, chunk);
    let dScores = a.emit("Mul", [weights, dWeights]);
    if (beside.bias) dBeside.push(a.reshape(dScores, [0, a.numHeads, ...a.perHead(chunk)]));
    if (bent !== null) {
      const slope = a.emit("Sub", [emitter.scalar(1), a.emit("Mul", [bent, bent])]);
      dScores = a.emit("Mul", [dScores, slope]);
    }
    const dQuery = a.product(dScores, a.withSink(keys), { alpha: scale }, chunk);
    dQueries.push(a.reshape(dQuery, [0, a.numHeads, -1, a.width]));
    dKeys.add(a.withoutSink(a.product(dScores, own, { transA: 1, alpha: scale }, chunk)), chunk.keys);
    const dValue = a.product(weights, rows(dHeads, a.width), { transA: 1 }, chunk);
    dValues.add(a.withoutSink(dValue), chunk.keys);
    if (hasSinks) dBeside.push(a.sumOfSinks(dScores));
    const made = [dQuery, ...dKeys.latest, ...dValues.latest, ...dBeside.slice(-1)];
    if (after !== null) after = emitter.zeroAfter(made);
  }
  const [dQuery, dKey, dValue, ...ofBeside] = emitter.names(node.outputs);
  emitter.node("Concat", dQueries, [dQuery], { axis: TOKENS });
  dKeys.finish(dKey);
  dValues.finish(dValue);
  if (beside.bias) emitter.node("Concat", dBeside, ofBeside, { axis: TOKENS });
  if (hasSinks) emitter.node("Sum", dBeside, ofBeside);
}
