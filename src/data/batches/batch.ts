/**
 * @file Lays out rows of examples as the flat arrays that a step feeds.
 *
 * Labels of tokens are shifted here and never cross an example; the class of an image is the label of its first position.
 */
import { z } from "zod";
import { UsageError, assertInternal } from "../../errors.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { ClassExample } from "../examples/class-example.ts";
import type { ComparedRole } from "../examples/comparison.ts";
import type { Example } from "../examples/example.ts";
import type { ImageExample } from "../examples/images.ts";
import { A_COUNT, checkArguments, lazily } from "../../messages/arguments.ts";
import { countLabels, rowLength, type TrainingExample, UNIT_LIST } from "../examples/training-unit.ts";
import type { Normalization } from "../../models/family.ts";
import type { PassFacts } from "../../nn/pass.ts";

/** The label of a position without loss. */
export const NO_LABEL = -100;

/** B rows of T positions, row-major; padding is at the right end of a row. */
export interface Batch extends Pick<
  PassFacts,
  "numRows" | "length" | "positions" | "segments" | "tokenTypes"
> {
  /** What the model reads: ids [B, T], or pixels [B, C, H, W]. */
  readonly input: HostTensor<"int64"> | HostTensor<"float32">;
  /** [B, T], the id or class that each position has to predict; NO_LABEL without loss. */
  readonly labels: Int32Array;
  /** [N, V], the targets of the outputs at each labelled position; null: the label is the correct output. */
  readonly targets: Float32Array | null;
  /** Positions that are not padding. */
  readonly numTokens: number;
  /** Positions with a label, N. */
  readonly numLabels: number;
  /** [N], the weight of each label in the loss, in the order of their positions. */
  readonly weights: Float32Array;
  /** [N], index of the sequence that each label belongs to. */
  readonly sequenceOf: Int32Array;
  /** Role and group of each example, row by row. */
  readonly sequences: readonly { readonly role: ComparedRole; readonly group: number }[];
}

const ARGUMENTS = lazily(() => z.strictObject({ rows: z.array(UNIT_LIST), length: A_COUNT.optional() }));

/**
 * Lays rows side by side, padded to `length` or to the longest row. The caller owns the arrays.
 * @throws UsageError "usage/flag" for invalid rows, "usage/length" when one is longer than `length`
 */
export function toBatch(rows: readonly (readonly TrainingExample[])[], length?: number): Batch {
  checkArguments("toBatch", ARGUMENTS, { rows, length });
  return layRows(rows, length);
}

/** As `toBatch`, for examples that are already checked. */
export function layRows(rows: readonly (readonly TrainingExample[])[], length?: number): Batch {
  const images = rows.flat().filter((example) => "pixels" in example);
  return images.length > 0 ? toImageBatch(images) : toTokenBatch(rows as TokenRows, length);
}

/** Whether a position of the flattened batch ends a prompt: it is the first of consecutive positions with labels. */
export function endsPrompt({ labels, segments }: Pick<Batch, "labels" | "segments">, at: number): boolean {
  const goesOn = at > 0 && segments[at - 1] === segments[at] && labels[at - 1] !== NO_LABEL;
  return labels[at] !== NO_LABEL && !goesOn;
}

type TokenRows = readonly (readonly (Example | ClassExample)[])[];

function toTokenBatch(rows: TokenRows, length?: number): Batch {
  const longest = rows.reduce((max, row) => Math.max(max, rowLength(row)), 0);
  const T = length ?? longest;
  if (longest > T) {
    throw new UsageError("usage/length", `Cannot batch row: ${longest} tokens, expected at most ${T}`, {
      hint: "Leave the length out, or shorten the examples.",
    });
  }
  const size = rows.length * T;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const segments = new Int32Array(size);
  const isPair = (example: Example | ClassExample): boolean => "secondAt" in example;
  const tokenTypes = rows.some((row) => row.some(isPair)) ? new Int32Array(size) : null;
  let numTokens = 0;
  for (const [rowIndex, row] of rows.entries()) {
    let at = rowIndex * T;
    for (const [segmentIndex, example] of row.entries()) {
      const secondAt = "secondAt" in example ? example.secondAt : undefined;
      tokenTypes?.fill(1, at + (secondAt ?? example.ids.length), at + example.ids.length);
      for (const [i, id] of example.ids.entries()) {
        ids[at] = BigInt(id);
        positions[at] = BigInt(i);
        segments[at++] = segmentIndex + 1;
      }
      numTokens += example.ids.length;
    }
  }
  return {
    numRows: rows.length,
    length: T,
    input: hostTensor("int64", [rows.length, T], ids),
    positions,
    segments,
    tokenTypes,
    numTokens,
    sequences: rows.flat().map(partOf),
    targets: targetsOf(rows.flat()),
    ...labelsOf(rows, T),
  };
}

/**
 * The targets of examples that have some, [N, V]; null: none has.
 * @throws UsageError "usage/shape" when lengths differ, or some have none
 */
function targetsOf(examples: readonly (Example | ClassExample)[]): Float32Array | null {
  const targets = examples.flatMap((one) =>
    "label" in one && typeof one.label !== "number" ? [one.label] : [],
  );
  const [first] = targets;
  if (first === undefined) return null;
  if (targets.length < examples.length || targets.some(({ length }) => length !== first.length)) {
    throw new UsageError(
      "usage/shape",
      "Cannot batch examples: they have targets of different lengths, or none",
      { hint: "Give every example as many numbers as the model has outputs." },
    );
  }
  const all = new Float32Array(targets.length * first.length);
  for (const [i, own] of targets.entries()) all.set(own, i * first.length);
  return all;
}

/** The labels of rows of T positions; a token's label is one position before the token, within its example. */
function labelsOf(
  rows: TokenRows,
  T: number,
): Pick<Batch, "labels" | "numLabels" | "weights" | "sequenceOf"> {
  const numLabels = rows.flat().reduce((sum, example) => sum + countLabels(example), 0);
  const labels = new Int32Array(rows.length * T).fill(NO_LABEL);
  const weights = new Float32Array(numLabels);
  const sequenceOf = new Int32Array(numLabels);
  let [next, sequence] = [0, 0];
  for (const [rowIndex, row] of rows.entries()) {
    let at = rowIndex * T;
    for (const example of row) {
      eachLabel(example, (place, id, weight) => {
        labels[at + place] = id;
        weights[next] = weight;
        sequenceOf[next++] = sequence;
      });
      at += example.ids.length;
      sequence++;
    }
  }
  return { labels, numLabels, weights, sequenceOf };
}

/** Calls `tell` with each label of an example: its index there, its value and its weight. */
function eachLabel(
  example: Example | ClassExample,
  tell: (place: number, id: number, weight: number) => void,
): void {
  if ("label" in example) {
    tell(example.labelIndex, typeof example.label === "number" ? example.label : 0, 1);
    return;
  }
  const { ids, weights } = example;
  assertInternal(weights.length === ids.length, "one weight a token");
  for (let i = 1; i < ids.length; i++) if (weights[i]! > 0) tell(i - 1, ids[i]!, weights[i]!);
}

/** Role and group of an example; one that is not compared has a group of its own. */
function partOf(example: TrainingExample, index: number): Batch["sequences"][number] {
  return "role" in example ? { role: example.role, group: example.group } : { role: "target", group: index };
}

/** For each channel, the input value of each brightness from 0 to 255. */
function valuesOf({ rescale, mean, std }: Normalization): Float32Array[] {
  return mean.map((middle, channel) =>
    Float32Array.from({ length: 256 }, (_, brightness) => (rescale * brightness - middle) / std[channel]!),
  );
}

/** Lays images of one size side by side, one per row. The caller owns the arrays. @throws RangeError when sizes differ */
function toImageBatch(examples: readonly ImageExample[]): Batch {
  const [first] = examples;
  if (!first) throw new RangeError("Cannot batch images: there are none");
  const { image, numPositions: length } = first;
  const { channels, size, normalization } = image;
  const numRows = examples.length;
  const numOfChannel = size * size;
  const numPixels = channels * numOfChannel;
  const values = valuesOf(normalization);
  const pixels = new Float32Array(numRows * numPixels);
  const labels = new Int32Array(numRows * length).fill(NO_LABEL);
  for (const [row, example] of examples.entries()) {
    if (example.pixels.length !== numPixels || example.numPositions !== length) {
      throw new RangeError(
        `Cannot batch images: they have ${example.pixels.length} and ${numPixels} pixels, expected the same size`,
      );
    }
    const from = row * numPixels;
    for (const [channel, ofBrightness] of values.entries()) {
      const start = channel * numOfChannel;
      for (let i = start; i < start + numOfChannel; i++) pixels[from + i] = ofBrightness[example.pixels[i]!]!;
    }
    labels[row * length] = example.label;
  }
  return {
    numRows,
    length,
    input: hostTensor("float32", [numRows, channels, size, size], pixels),
    positions: BigInt64Array.from({ length: numRows * length }, (_, i) => BigInt(i % length)),
    segments: new Int32Array(numRows * length).fill(1),
    tokenTypes: null,
    labels,
    targets: null,
    numTokens: numRows * length,
    numLabels: numRows,
    weights: new Float32Array(numRows).fill(1),
    sequenceOf: Int32Array.from(examples, (_, i) => i),
    sequences: examples.map(partOf),
  };
}
