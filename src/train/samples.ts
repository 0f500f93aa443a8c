/** @file Texts that a run generates while it trains: their prompts, and the writer of texts, which the caller passes in. */
import type { Message } from "../data/rows/messages.ts";
import type { TextTools } from "../data/chat/text-tools.ts";
import type { Checkpoint } from "../format/checkpoint/checkpoint.ts";
import type { Adapter } from "../peft/attach.ts";
import type { BetweenBlocks } from "../run/blocks/forward-blocks.ts";
import type { Session } from "../run/session.ts";

/** A prompt: a text to continue, or a conversation to answer. */
export type SamplePrompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "chat"; readonly messages: readonly Message[] };

/** A generated text. */
export interface Sample {
  /** The prompt as people read it. */
  readonly prompt: string;
  readonly text: string;
  /** New tokens. */
  readonly tokens: number;
}

/** Writes a text for each prompt, with the adapter's current parameters. @throws the signal's reason when it is aborted */
export type SampleWriter = () => Promise<readonly Sample[]>;

export interface SampleParts {
  readonly session: Session;
  readonly adapter: Adapter;
  readonly checkpoint: Checkpoint;
  readonly tools: TextTools;
  readonly prompts: readonly SamplePrompt[];
  readonly maxNewTokens: number;
  readonly signal: AbortSignal | undefined;
  /** Awaited between two tokens: other work on the session may run there. */
  readonly betweenTokens: BetweenBlocks | undefined;
}

/** Makes the writer of a run. @throws UsageError for prompts that do not fit the model */
export type MakeSampleWriter = (parts: SampleParts) => Promise<SampleWriter>;

/** The prompt as people read it: the text, or the last message. */
export function shownPrompt(prompt: SamplePrompt): string {
  return prompt.kind === "text" ? prompt.text : (prompt.messages.at(-1)?.content ?? "");
}
