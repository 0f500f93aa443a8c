/**
 * @file Turns a row of a data set into token ids with the loss weight of each token, which nothing changes later.
 *
 *   chat        the model's template; loss on what assistants write (content and end-of-turn token, no header)
 *   completion  prompt + completion + eos; loss on completion and eos
 *   text        text + eos; loss on all
 *
 * bos comes first if the tokenizer adds it (a chat template writes its own).
 */
import type { ChatTemplate } from "../chat/chat-template.ts";
import { encodeSegments } from "../tokenizer/encode-segments.ts";
import type { RowSource } from "../formats/parsed-row.ts";
import type { TargetRow } from "../rows/rows.ts";
import { isAllShown, withKnownRoles } from "../chat/shown-parts.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { messageSpans, renderTurns } from "../chat/turn-spans.ts";

export const TRAIN_ON = ["assistant", "last-assistant", "all"] as const;

/** Which turns of a conversation are trained; turns of weight 0 never are. */
export type TrainOn = (typeof TRAIN_ON)[number];

/** Token ids of one example. */
export interface Example {
  readonly ids: Int32Array;
  /** Loss weight of predicting each token, 0: no loss; always 0 for the first token, which nothing predicts. */
  readonly weights: Float32Array;
  readonly source: RowSource;
  /** The example lost tokens to maxLength. */
  readonly isCut?: true;
}

/** Called when there is something about an example that the user should know. */
export interface ExampleHooks {
  /** Called for a prompt and completion that are concatenated as they are although the model has a chat template. */
  readonly onPlainPrompt?: () => void;
  /** Called for a conversation in which the template leaves out a part that should be learned. */
  readonly onUnshown?: () => void;
  /** Called for a text that is learned as it is although its row has a label. */
  readonly onLabelled?: () => void;
}

/** Options for turning rows into examples. */
export interface ExampleOptions extends ExampleHooks {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** Default: "assistant". */
  readonly trainOn?: TrainOn;
}

/** Counts the tokens that are predicted with loss; never the first, whatever its weight. */
export function countTrained({ weights }: Pick<Example, "weights">): number {
  return weights.reduce((sum, weight, i) => sum + (i > 0 && weight > 0 ? 1 : 0), 0);
}

/** Makes an example of ids and weights (true is 1); copies both and sets the first weight to 0. */
export function makeExample(
  ids: readonly number[],
  weightOf: (tokenIndex: number) => number | boolean,
  source: RowSource,
): Example {
  const weights = new Float32Array(ids.length);
  for (let i = 1; i < ids.length; i++) weights[i] = Number(weightOf(i));
  return { ids: new Int32Array(ids), weights, source };
}

function chatExample(row: TargetRow & { kind: "chat" }, options: ExampleOptions, source: RowSource): Example {
  const { tokenizer, template } = options;
  const trainOn = options.trainOn ?? "assistant";
  const messages = withKnownRoles(
    template,
    row.messages.map(({ message }) => message),
  );
  const lastTurn = messages.findLastIndex(({ role }) => role === "assistant");
  const weightOf = (index: number): number =>
    trainOn === "last-assistant" && index !== lastTurn ? 0 : (row.messages[index]?.weight ?? 0);
  // Only turns whose weight differs from that of the text around them must be found.
  const around = trainOn === "all" ? 1 : 0;
  const isWanted = (index: number): boolean => weightOf(index) !== around;
  const specialTokens = [...tokenizer.specialTokens.keys()];
  const rendering = { template, messages, tools: row.tools, specialTokens };
  const { text, spans } = renderTurns(rendering, isWanted);
  const turns = messages.flatMap(({ role }, i) => (role === "assistant" ? [i] : []));
  const asked = messages.flatMap(({ role }, i) =>
    trainOn === "all" && role !== "assistant" && isWanted(i) ? [i] : [],
  );
  const askedSpans = messageSpans({ ...rendering, text }, asked);
  const wanted = [
    ...spans.map((span, i) => ({ ...span, index: turns[i] ?? -1 })),
    ...askedSpans.map((span, i) => ({ ...span, index: asked[i] ?? -1 })),
  ]
    .filter(({ index }) => isWanted(index))
    .toSorted((a, b) => a.start - b.start);
  const isShown = spans.every(({ start, end }, i) => {
    const index = turns[i] ?? -1;
    return weightOf(index) === 0 || start === end || isAllShown(messages[index]!, text.slice(start, end));
  });
  if (!isShown) options.onUnshown?.();
  const { ids, tokenCuts } = encodeSegments(
    tokenizer,
    text,
    wanted.flatMap(({ start, end }) => [start, end]),
  );
  const weights = new Float32Array(ids.length).fill(around);
  for (const [i, { index }] of wanted.entries()) {
    weights.fill(weightOf(index), tokenCuts[2 * i], tokenCuts[2 * i + 1]);
  }
  return makeExample(ids, (i) => weights[i] ?? 0, source);
}

/** Turns a row into an example. @throws usage/chat-template when the template is missing or rejects the messages */
export function toExample(row: TargetRow, options: ExampleOptions, source: RowSource): Example {
  if (row.kind === "chat") return chatExample(row, options, source);
  const { tokenizer, template } = options;
  if (row.kind === "completion" && template.source !== null) options.onPlainPrompt?.();
  if (row.kind === "text" && row.hasLabel) options.onLabelled?.();
  const text = row.kind === "text" ? row.text : row.prompt + row.completion;
  const cuts = row.kind === "text" ? [] : [row.prompt.length];
  const { ids, tokenCuts } = encodeSegments(tokenizer, text, cuts);
  const { prefixIds, suffixIds, eosId } = tokenizer;
  const ending = eosId !== null && ids.at(-1) !== eosId && !suffixIds.includes(eosId) ? [eosId] : [];
  const firstTrained = options.trainOn === "all" ? 0 : prefixIds.length + (tokenCuts[0] ?? 0);
  return makeExample(
    [...prefixIds, ...ids, ...suffixIds, ...ending],
    (i) => row.kind === "text" || i >= firstTrained,
    source,
  );
}
