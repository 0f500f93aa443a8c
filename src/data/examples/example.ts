/**
 * @file A row of a data set as token ids with the loss decided for each token; nothing later changes it.
 *
 *   chat        the model's template; loss on what assistants write (content and end-of-turn token, no header)
 *   completion  prompt + completion + eos; loss on completion and eos
 *   text        text + eos; loss on all
 *
 * bos stands first where the tokenizer asks for it (a chat template writes its own).
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
  /** Weight of the loss of predicting each token, 0: none; always 0 for the first token, which nothing predicts. */
  readonly weights: Float32Array;
  readonly source: RowSource;
  /** It lost tokens to maxLength. */
  readonly isCut?: true;
}

/** Who is told what the user should know of an example. */
export interface ExampleHooks {
  /** Is called for a prompt and completion that are joined as they are although the model has a chat template. */
  readonly onPlainPrompt?: () => void;
  /** Is called for a conversation of which the template leaves out a part of what is to be learned. */
  readonly onUnshown?: () => void;
  /** Is called for a text that is learned as it is although its row has a label. */
  readonly onLabelled?: () => void;
}

/** What turns rows into examples. */
export interface ExampleOptions extends ExampleHooks {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  /** "assistant" unless given. */
  readonly trainOn?: TrainOn;
}

/** Counts the tokens that are predicted with loss: never the first, whatever it weighs. */
export function countTrained({ weights }: Pick<Example, "weights">): number {
  return weights.reduce((sum, weight, i) => sum + (i > 0 && weight > 0 ? 1 : 0), 0);
}

/** Wraps ids and weights (true is 1) as an example; copies both and clears the first weight. */
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
  // Turns have to be found where they differ from the text around them.
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
