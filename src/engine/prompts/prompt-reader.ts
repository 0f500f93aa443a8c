/** @file Contract of what reads the outputs of the blocks for each part of a prompt, whether or not a text continues it. */
import type { Head } from "../../run/head/head.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Some ids of a prompt that have run. */
export interface ReadPart {
  /** Output of the last block [1, T, D]. */
  readonly y: HostTensor<"float32">;
  /** Index of the text's row in the pass. */
  readonly row: number;
  /** All ids of the text. */
  readonly ids: readonly number[];
  /** Index of the first of these ids in the text; 0: the prompt begins, or begins again. */
  readonly from: number;
}

export interface PromptReader {
  /** Reads the next part. The parts of a prompt come in order, and again from the start when its text has lost its pages. */
  read(head: Head, part: ReadPart): Promise<void>;
}
