/**
 * @file Contract of what reads the outputs of the blocks for each part of a prompt, in addition to the text that continues
 * it.
 */
import type { Head } from "../../run/head/head.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Some ids of a prompt that have run. */
export interface ReadPart {
  /** Output of the last block [1, T, D]. */
  readonly y: HostTensor<"float32">;
  /** Which row of the pass that is. */
  readonly row: number;
  /** All ids of the text. */
  readonly ids: readonly number[];
  /** Index of the first of these ids in the text; 0 begins the prompt again. */
  readonly from: number;
}

export interface PromptReader {
  /** Takes the next part: all of a prompt comes in order, and again from its start when its text has lost its pages. */
  read(head: Head, part: ReadPart): Promise<void>;
}
