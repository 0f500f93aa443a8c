/**
 * @file Rows of examples as the flat arrays that a step feeds.
 *
 * Labels of tokens are shifted here and never cross an example; the class of an image is the label of its first position.
 */
import { assertInternal } from "../errors.ts";
import { type HostTensor, hostTensor } from "../runtime/host-tensor.ts";
import type { Example } from "./example.ts";
import type { ImageExample } from "./images.ts";

/** What a model is trained on: tokens or an image. */
export type TrainingExample = Example | ImageExample;

/** The label of a position that has nothing to predict with loss. */
export const NO_LABEL = -100;

/** Half of the brightest pixel: 0 to 255 become -1 to 1, as Vision Transformers are commonly trained. */
const HALF = 127.5;

/** B rows of T positions, row-major; padding is at the right end of a row. */
export interface Batch {
  /** B */
  readonly numRows: number;
  /** T */
  readonly length: number;
  /** What the model reads: ids [B, T], or pixels [B, C, H, W]. */
  readonly input: HostTensor<"int64"> | HostTensor<"float32">;
  /** [B, T], from 0 in each example. */
  readonly positions: BigInt64Array;
  /** [B, T], number of the example in its row from 1; 0 is padding. */
  readonly segments: Int32Array;
  /** [B, T], the id or class that the position has to predict; NO_LABEL where there is no loss. */
  readonly labels: Int32Array;
  /** Positions that are not padding. */
  readonly numTokens: number;
  /** Positions with a label. */
  readonly numLabels: number;
}

/** Positions that an example takes: its tokens, or what a model makes of its image. */
export function exampleLength(example: TrainingExample): number {
  return "pixels" in example ? example.numPositions : example.ids.length;
}

/** Counts the positions of a row. */
export function rowLength(row: readonly TrainingExample[]): number {
  return row.reduce((sum, example) => sum + exampleLength(example), 0);
}

/** Lays rows side by side, padded to `length` or to the longest row. The caller owns the arrays. @throws RangeError when a row is longer */
export function toBatch(rows: readonly (readonly TrainingExample[])[], length?: number): Batch {
  const images = rows.flat().filter((example) => "pixels" in example);
  return images.length > 0
    ? toImageBatch(images)
    : toTokenBatch(rows as readonly (readonly Example[])[], length);
}

/** 1 where a prompt ends, at the first of some positions with a label, else 0; [B, T], fresh. */
export function promptEnds({ labels, segments }: Pick<Batch, "labels" | "segments">): Float32Array {
  const ends = new Float32Array(labels.length);
  for (let at = 0; at < labels.length; at++) {
    const goesOn = at > 0 && segments[at - 1] === segments[at] && labels[at - 1] !== NO_LABEL;
    if (labels[at] !== NO_LABEL && !goesOn) ends[at] = 1;
  }
  return ends;
}

function toTokenBatch(rows: readonly (readonly Example[])[], length?: number): Batch {
  const longest = rows.reduce((max, row) => Math.max(max, rowLength(row)), 0);
  const T = length ?? longest;
  if (longest > T) {
    throw new RangeError(`Cannot batch row: ${longest} tokens, expected at most ${T}`);
  }
  const size = rows.length * T;
  const ids = new BigInt64Array(size);
  const positions = new BigInt64Array(size);
  const segments = new Int32Array(size);
  const labels = new Int32Array(size).fill(NO_LABEL);
  let numTokens = 0;
  let numLabels = 0;
  for (const [rowIndex, row] of rows.entries()) {
    let at = rowIndex * T;
    for (const [segmentIndex, example] of row.entries()) {
      assertInternal(example.trained.length === example.ids.length, "one flag a token");
      for (let i = 0; i < example.ids.length; i++, at++) {
        ids[at] = BigInt(example.ids[i]!);
        positions[at] = BigInt(i);
        segments[at] = segmentIndex + 1;
        // Past the end of the example there is no flag, hence no label.
        if (example.trained[i + 1] === 1) {
          labels[at] = example.ids[i + 1]!;
          numLabels++;
        }
      }
      numTokens += example.ids.length;
    }
  }
  const input = hostTensor("int64", [rows.length, T], ids);
  return { numRows: rows.length, length: T, input, positions, segments, labels, numTokens, numLabels };
}

/** Lays images of one size side by side, a row each. The caller owns the arrays. @throws RangeError for sizes that differ */
function toImageBatch(examples: readonly ImageExample[]): Batch {
  const [first] = examples;
  if (!first) throw new RangeError("Cannot batch images: there are none");
  const { image, numPositions: length } = first;
  const { channels, size } = image;
  const numRows = examples.length;
  const numPixels = channels * size * size;
  const pixels = new Float32Array(numRows * numPixels);
  const labels = new Int32Array(numRows * length).fill(NO_LABEL);
  for (const [row, example] of examples.entries()) {
    if (example.pixels.length !== numPixels || example.numPositions !== length) {
      throw new RangeError(`Cannot batch images: ${example.pixels.length} pixels beside ${numPixels}`);
    }
    const from = row * numPixels;
    for (let i = 0; i < numPixels; i++) pixels[from + i] = example.pixels[i]! / HALF - 1;
    labels[row * length] = example.label;
  }
  return {
    numRows,
    length,
    input: hostTensor("float32", [numRows, channels, size, size], pixels),
    positions: BigInt64Array.from({ length: numRows * length }, (_, i) => BigInt(i % length)),
    segments: new Int32Array(numRows * length).fill(1),
    labels,
    numTokens: numRows * length,
    numLabels: numRows,
  };
}
