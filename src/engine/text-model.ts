/**
 * @file A model that reads and writes text: checkpoint, adapter, tokenizer, chat template and generator, opened together.
 *
 * The one file of the engine that knows text; everything below works on ids.
 */
import { type ChatTemplate, createChatTemplate } from "../data/chat-template.ts";
import type { Message } from "../data/messages.ts";
import { type Tokenizer, createTokenizer } from "../data/tokenizer.ts";
import { UsageError } from "../errors.ts";
import { readAdapter } from "../format/adapter.ts";
import { type Checkpoint, openCheckpoint } from "../format/checkpoint.ts";
import { loadWeights } from "../format/load-model.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Adapter } from "../peft/attach.ts";
import { createOrtEngine } from "../runtime/ort-node.ts";
import { type Completion, type GenerateRequest, Generator } from "./generator.ts";

/** What to open and how. */
export interface OpenTextModelOptions {
  /** Name of the model for messages; the path unless given. */
  readonly name?: string;
  /** Folder of an adapter to put on the model. */
  readonly adapterPath?: string;
  /** Holds all weights in float32 (the default): without it every block is widened again for every token. */
  readonly keepWidened?: boolean;
  /** All processors unless given. */
  readonly threads?: number;
}

/** Settings of a text to write. */
export type TextRequest = Omit<GenerateRequest, "promptIds" | "stopIds">;

/** A text that was written. */
export interface WrittenText extends Completion {
  readonly promptIds: readonly number[];
  /** Without the stop token and other special tokens. */
  readonly text: string;
}

/** Parts of an open model. */
interface TextModelParts {
  readonly checkpoint: Checkpoint;
  readonly base: BaseModel;
  readonly adapter: Adapter | null;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly generator: Generator;
  readonly stopIds: readonly number[];
  readonly notes: readonly string[];
}

/**
 * Opens a model folder or file, with an adapter if one is named; the caller closes it.
 * @throws FormatError, UsageError as `openCheckpoint`, `loadWeights`, `readAdapter` and `createTokenizer`;
 * UsageError "usage/model" for a model without a tokenizer.
 */
export async function openTextModel(path: string, options: OpenTextModelOptions = {}): Promise<TextModel> {
  const name = options.name ?? path;
  const checkpoint = await openCheckpoint(path);
  try {
    const { tokenizer, template } = openTextTools(name, checkpoint);
    const base = await loadWeights(path, checkpoint, { name, keepWidened: options.keepWidened ?? true });
    const read = options.adapterPath === undefined ? null : await readAdapter(options.adapterPath, base);
    const notes: string[] = [];
    if (read && read.chatTemplateHash !== null && read.chatTemplateHash !== template.hash) {
      notes.push(
        `Adapter "${options.adapterPath}" was trained with another chat template than that of "${name}": its answers may be poor`,
      );
    }
    const adapter = read?.adapter ?? null;
    const engine = createOrtEngine(options.threads === undefined ? {} : { threads: options.threads });
    const generator = await Generator.create({ engine, base, adapter });
    const stopIds = stopIdsOf(tokenizer, checkpoint);
    return new TextModel({ checkpoint, base, adapter, tokenizer, template, generator, stopIds, notes });
  } catch (error) {
    await checkpoint.close();
    throw error;
  }
}

/** Makes tokenizer and chat template of a checkpoint. @throws UsageError "usage/model" when it carries none. */
export function openTextTools(
  name: string,
  { tokenizerFiles }: Pick<Checkpoint, "tokenizerFiles">,
): { readonly tokenizer: Tokenizer; readonly template: ChatTemplate } {
  if (!tokenizerFiles) {
    throw new UsageError("usage/model", `Cannot use model "${name}" on text: it has no tokenizer.json`, {
      hint: "Put the tokenizer's files into the model's folder.",
    });
  }
  return { tokenizer: createTokenizer(tokenizerFiles), template: createChatTemplate(tokenizerFiles) };
}

/** Ids that end a text: the tokenizer's eos and those of the generation settings. */
function stopIdsOf(tokenizer: Tokenizer, { generationConfig, config }: Checkpoint): number[] {
  const listed = [generationConfig?.["eos_token_id"], config["eos_token_id"], tokenizer.eosId].flat();
  return [...new Set(listed.filter((id): id is number => typeof id === "number"))];
}

export class TextModel {
  readonly base: BaseModel;
  readonly adapter: Adapter | null;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly generator: Generator;
  readonly stopIds: readonly number[];
  /** Sentences that the user should see. */
  readonly notes: readonly string[];
  readonly #checkpoint: Checkpoint;

  constructor(parts: TextModelParts) {
    this.base = parts.base;
    this.adapter = parts.adapter;
    this.tokenizer = parts.tokenizer;
    this.template = parts.template;
    this.generator = parts.generator;
    this.stopIds = parts.stopIds;
    this.notes = parts.notes;
    this.#checkpoint = parts.checkpoint;
  }

  /** Encodes a text to go on from, with the bos that the tokenizer asks for but no eos. */
  encodePrompt(text: string): number[] {
    return [...this.tokenizer.prefixIds, ...this.tokenizer.encode(text, { addSpecialTokens: false })];
  }

  /** Encodes a conversation up to the start of the assistant's next turn. @throws UsageError "usage/chat-template" */
  encodeChat(messages: readonly Message[]): number[] {
    const text = this.template.render(messages, { addGenerationPrompt: true });
    return this.tokenizer.encode(text, { addSpecialTokens: false });
  }

  /** Writes text after a prompt; `onText` is told of each piece as it comes. @throws as `Generator.generate` */
  async write(
    promptIds: readonly number[],
    request: TextRequest,
    onText: (piece: string) => void = () => {},
  ): Promise<WrittenText> {
    const stream = this.tokenizer.stream({ skipSpecialTokens: true });
    let text = "";
    const tell = (piece: string): void => {
      if (piece === "") return;
      text += piece;
      onText(piece);
    };
    const completion = await this.generator.complete(
      { ...request, promptIds, stopIds: this.stopIds },
      ({ id, isStop }) => isStop || tell(stream.push(id)),
    );
    tell(stream.end());
    return { ...completion, promptIds, text };
  }

  /** Frees the programs and closes the checkpoint. */
  async close(): Promise<void> {
    await this.generator.release();
    await this.#checkpoint.close();
  }
}
