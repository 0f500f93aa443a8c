/** @file A model's tokenizer and chat template together, and the ids of prompts. */
import { UsageError } from "../../errors.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { type ChatTemplate, type RenderOptions, createChatTemplate } from "./chat-template.ts";
import type { Message } from "../rows/messages.ts";
import { type Tokenizer, createTokenizer } from "../tokenizer/tokenizer.ts";
import { TypedTokens } from "./typed-tokens.ts";

/** Plain data from which another thread or process can make the same tools. */
export interface ToolsOrigin {
  readonly files: TokenizerFiles;
  /** The time that the template uses. */
  readonly now: Date;
}

/** What turns text into ids and back. */
export interface TextTools {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly typedTokens: TypedTokens;
  readonly origin: ToolsOrigin;
}

/** Options of text tools that are not part of their origin. */
interface TextToolsOptions {
  /** The tokenizer of the files, if it is already open. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Returns the time that the template uses, at each call. Default: that of the origin. */
  readonly clock?: () => Date;
}

/** Makes the text tools of a model. @throws as `requireTokenizer` */
export function openTextTools(
  modelName: string,
  files: TokenizerFiles | null,
  options: TextToolsOptions = {},
): TextTools {
  return makeTextTools({ files: requireTokenizer(modelName, files), now: new Date() }, options);
}

/** Returns the tokenizer files of a model. @throws UsageError "usage/model" when it has none. */
export function requireTokenizer(modelName: string, files: TokenizerFiles | null): TokenizerFiles {
  if (files) return files;
  throw new UsageError("usage/model", `Cannot use model "${modelName}" on text: it has no tokenizer.json`, {
    hint: "Put it into the model's folder; transformers can create it from other tokenizer files: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
  });
}

/** Makes the tools of an origin. */
export function makeTextTools(origin: ToolsOrigin, options: TextToolsOptions = {}): TextTools {
  const { files, now } = origin;
  const { tokenizer = createTokenizer(files), clock = () => now } = options;
  const template = createChatTemplate(files, { now: clock });
  return { tokenizer, template, typedTokens: new TypedTokens(tokenizer, template.source ?? ""), origin };
}

/** Encodes a text to be continued, with the bos token if the tokenizer adds one, but no eos. */
export function encodePrompt({ tokenizer }: TextTools, text: string): number[] {
  return [...tokenizer.prefixIds, ...tokenizer.encode(text, { addSpecialTokens: false })];
}

/**
 * Encodes a conversation, by default up to the start of the assistant's next turn. Typed text does not become a special token
 * (typed-tokens.ts). `onParts` receives the parts of the rendered text before they are encoded.
 * @throws UsageError "usage/chat-template"; what `onParts` throws
 */
export function encodeChat(
  { tokenizer, template, typedTokens }: TextTools,
  messages: readonly Message[],
  options: RenderOptions = {},
  onParts: (parts: readonly string[]) => void = () => {},
): number[] {
  const said = messages.map((message) => typedTokens.markMessage(message));
  const text = template.render(said, { addGenerationPrompt: true, ...typedTokens.mark(options) });
  const parts = typedTokens.parts(text);
  onParts(parts);
  return parts.flatMap((part) => tokenizer.encode(part, { addSpecialTokens: false }));
}
