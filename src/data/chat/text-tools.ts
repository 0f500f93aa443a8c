/** @file Tokenizer and chat template of a model, together, and the ids of prompts. */
import { UsageError } from "../../errors.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import { type ChatTemplate, type RenderOptions, createChatTemplate } from "./chat-template.ts";
import type { Message } from "../rows/messages.ts";
import { type Tokenizer, createTokenizer } from "../tokenizer/tokenizer.ts";
import { TypedTokens } from "./typed-tokens.ts";

/** What the same tools can be made of elsewhere; plain data. */
export interface ToolsOrigin {
  readonly files: TokenizerFiles;
  /** What the template takes as the time. */
  readonly now: Date;
}

/** What turns text into ids and back. */
export interface TextTools {
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly typedTokens: TypedTokens;
  readonly origin: ToolsOrigin;
}

/** What of text tools is not made from their origin alone. */
interface TextToolsOptions {
  /** The tokenizer of the files, if it is open already. */
  readonly tokenizer?: Tokenizer | undefined;
  /** What the template takes as the time, whenever it is asked; that of the origin unless given. */
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

/** The tokenizer files of a model. @throws UsageError "usage/model" when it carries none. */
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

/** Encodes a text to go on from, with the bos that the tokenizer asks for but no eos. */
export function encodePrompt({ tokenizer }: TextTools, text: string): number[] {
  return [...tokenizer.prefixIds, ...tokenizer.encode(text, { addSpecialTokens: false })];
}

/**
 * Encodes a conversation, up to the start of the assistant's next turn unless told. What somebody has typed does not become a special
 * token (typed-tokens.ts). `onParts` is given the rendered text in its parts before they are encoded.
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
