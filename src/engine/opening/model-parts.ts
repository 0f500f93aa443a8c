/** @file Reads what a model needs before it runs: weights, an adapter, tokenizer and chat template. */
import { compareTokenizerFiles } from "../../data/tokenizer/tokenizer-notes.ts";
import { withChatTemplate } from "../../data/files/chat-template-file.ts";
import { type TextTools, openTextTools } from "../../data/chat/text-tools.ts";
import { nameOfTemplate } from "../../data/chat/named-templates.ts";
import { readAdapter, withHeadOf } from "../../format/by-path.ts";
import type { Checkpoint } from "../../format/checkpoint/checkpoint.ts";
import { loadWeights } from "../../format/checkpoint/load-model.ts";
import { withQuantizedBase } from "../../format/checkpoint/quantized-base.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Family } from "../../models/family.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { Method } from "../../peft/method.ts";
import type { StorageName } from "../../quant/storages.ts";

/** What to read beside the model itself. */
export interface PartsOptions {
  /** Name of the model for messages and adapter files; the path unless given. */
  readonly name?: string;
  /** Folder of an adapter to put on the model. */
  readonly adapterPath?: string | undefined;
  /** Replaces the model's chat template: a name or a file of Jinja. */
  readonly chatTemplate?: string | undefined;
  /** Rounds the matrices of a float base to this kind, as needed for an adapter that was trained on it. */
  readonly base?: StorageName | undefined;
  /** The methods that the adapter may have; those of the list unless given. */
  readonly methods?: readonly Method[];
  /** The families that the model may have; those of the list unless given. */
  readonly families?: readonly Family[] | undefined;
}

/** A loaded model with an adapter, if there is one. */
export interface ModelParts {
  /** Whoever opened the parts closes it. */
  readonly checkpoint: Checkpoint;
  readonly base: BaseModel;
  readonly adapter: Adapter | null;
  readonly adapterPath: string | null;
  /** Hash of the chat template that the adapter was trained with; null: not known. */
  readonly chatTemplateHash: string | null;
}

/** A model that reads text. */
export interface TextParts extends ModelParts, TextTools {
  /** Sentences that the user should see. */
  readonly notes: readonly string[];
}

/** Reads weights and adapter of an open checkpoint. @throws as `loadWeights` and `readAdapter` */
export async function readParts(opened: Checkpoint, options: PartsOptions = {}): Promise<ModelParts> {
  const { name = opened.path, adapterPath, methods, families } = options;
  const withHead = withChatTemplate(await withHeadOf(opened, adapterPath), options.chatTemplate);
  const checkpoint = withQuantizedBase(withHead, options.base);
  const base = await loadWeights(checkpoint.path, checkpoint, { name, families });
  const parts = { checkpoint, base, adapter: null, adapterPath: null, chatTemplateHash: null };
  if (adapterPath === undefined) return parts;
  return { ...parts, ...(await readAdapter(adapterPath, base, methods)), adapterPath };
}

/** Makes the text tools of a model. @throws UsageError "usage/model" for a model without a tokenizer */
export function withTextTools(parts: ModelParts): TextParts {
  const { base, adapterPath, checkpoint, chatTemplateHash } = parts;
  // A server may run for weeks, so templates that use the date must get that of the moment.
  const tools = openTextTools(base.name, checkpoint.tokenizerFiles, { clock: () => new Date() });
  const isOther = chatTemplateHash !== null && chatTemplateHash !== tools.template.hash;
  const named = nameOfTemplate(chatTemplateHash);
  const advice = named === null ? "its answers may be poor" : `give it as --chat-template ${named}`;
  const note = `Adapter "${adapterPath}" was trained with another chat template than that of "${base.name}": ${advice}`;
  return { ...parts, ...tools, notes: [...compareTokenizerFiles(checkpoint), ...(isOther ? [note] : [])] };
}
