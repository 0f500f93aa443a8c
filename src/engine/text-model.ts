/**
 * @file A model that reads and writes text: checkpoint, adapter, tokenizer, chat template and generator together.
 *
 * The layers below work on ids.
 */
import { z } from "zod";
import { A_CHOICE, A_FUNCTION, checkArguments, objectWith, lazily } from "../messages/arguments.ts";
import type { Message } from "../data/rows/messages.ts";
import { encodeChat, encodePrompt } from "../data/chat/text-tools.ts";
import { decodeAfter } from "../data/tokenizer/tokenizer.ts";
import type { ReadAdapter } from "../format/adapters/read-adapter.ts";
import { withListener } from "../runtime/listener.ts";
import type { Completion } from "./generation/completion.ts";
import type { GenerateRequest, Generator } from "./generation/generator.ts";
import type { TextParts } from "./opening/model-parts.ts";
import { closeAll } from "./opening/close-all.ts";
import { closedModel } from "./opening/closed-model.ts";
import { Grammars } from "./grammar/grammars.ts";
import type { Grammar } from "./grammar/token-grammar.ts";
import { stopIdsOf } from "./answers/stop-ids.ts";
import { type ThoughtForm, findThoughtForm } from "./answers/thought-forms.ts";
import { ThoughtReader } from "./answers/thought-reader.ts";
import { type Task, type TaskRow, TaskSet } from "./generation/task-set.ts";

const ON_TEXT = lazily(() => z.strictObject({ onText: A_FUNCTION }));
const PROMPTS = lazily(() => z.strictObject({ prompts: z.array(z.unknown()) }));
const FORM = lazily(() => z.strictObject({ goesOn: A_CHOICE }));
const SCHEMA = lazily(() => z.strictObject({ schema: z.looseObject({}) }));
const A_TEXT = lazily(() => z.strictObject({ text: z.string() }));
const MESSAGES = lazily(() =>
  z.strictObject({
    messages: z.array(objectWith<Message>("a message with its role and content", "role", "content")),
  }),
);

interface TextForm {
  /**
   * Whether the text continues that of its prompt; otherwise it begins a new one, like an answer, of which some tokenizers strip
   * the first space.
   */
  readonly goesOn?: boolean;
}

/** Settings of a text to write. */
export interface TextRequest extends Omit<GenerateRequest, "promptIds" | "stopIds">, TextForm {}

/** A prompt of a batch, with its task. */
export interface TaskPrompt extends Omit<TaskRow, "stopIds">, TextForm {}

/** A text that was written, with its ids and its speed. */
export interface WrittenText extends Completion {
  readonly promptIds: readonly number[];
  /** Without the stop token and other special tokens, except those that mark thoughts of an answer. */
  readonly text: string;
}

/** Separates the form of the text from the request for its ids, which is checked where they are written. */
function partForm<T extends TextForm>(
  action: string,
  asked: T,
): { readonly goesOn: boolean; readonly request: Omit<T, "goesOn"> } {
  const { goesOn = false, ...request } = { ...asked };
  checkArguments(action, FORM, { goesOn });
  return { goesOn, request };
}

/** The adapter that a model was opened with, as a task with the name of its folder. */
function firstTask({ adapter, adapterPath, chatTemplateHash }: TextParts): Task | null {
  if (adapter === null || adapterPath === null) return null;
  const name = adapterPath.split(/[/\\]/).findLast((part) => part !== "") ?? adapterPath;
  return { name, path: adapterPath, adapter, chatTemplateHash };
}

interface TextModelEngine {
  readonly generator: Generator;
  /** Reads the adapter in a folder onto the base. */
  readonly read: (path: string) => Promise<ReadAdapter>;
  /** Frees what the generator uses. */
  readonly release: () => Promise<void>;
}

/** A model that reads and writes text. Whoever opens it closes it. */
export class TextModel {
  readonly parts: TextParts;
  readonly generator: Generator;
  /** Adapters of other tasks on the same base; one of them is active. */
  readonly tasks: TaskSet;
  /** Ids that end a text. */
  readonly stopIds: readonly number[];
  readonly #release: () => Promise<void>;
  readonly #thoughtForm: ThoughtForm | null;
  /** Special tokens that mark thoughts. */
  readonly #thoughtIds: ReadonlySet<number>;
  /** Settles when no text of `write` or `embed` is in progress. */
  #lastWrite: Promise<unknown> = Promise.resolve();
  /** Batches in progress. */
  readonly #batches = new Set<Promise<unknown>>();
  #closed: Promise<void> | null = null;
  #grammars: Grammars | null = null;

  constructor(parts: TextParts, { generator, read, release }: TextModelEngine) {
    this.parts = parts;
    this.generator = generator;
    this.#release = release;
    this.stopIds = stopIdsOf(parts.tokenizer, parts.checkpoint);
    const { base, tokenizer, template } = parts;
    this.#thoughtForm = findThoughtForm(template.source ?? "");
    const marks = this.#thoughtForm?.tokens ?? [];
    this.#thoughtIds = new Set(marks.flatMap((token) => tokenizer.specialTokens.get(token) ?? []));
    this.tasks = new TaskSet(
      { base, generator, read },
      generator.session.base === base ? firstTask(parts) : null,
    );
  }

  /** Encodes a text to continue, with the bos that the tokenizer asks for but no eos. */
  encodePrompt(text: string): number[] {
    this.#requireOpen("encode a prompt");
    checkArguments("encodePrompt", A_TEXT, { text });
    return encodePrompt(this.parts, text);
  }

  /** Encodes a conversation up to the start of the assistant's next turn. @throws UsageError "usage/chat-template" */
  encodeChat(messages: readonly Message[]): number[] {
    this.#requireOpen("encode a conversation");
    checkArguments("encodeChat", MESSAGES, { messages });
    return encodeChat(this.parts, messages);
  }

  /**
   * The part of an answer after its thoughts, as later turns of a conversation contain it; all of it if the marks are no special
   * tokens, since the chat template then removes them itself.
   */
  withoutThoughts(text: string): string {
    if (this.#thoughtForm === null || this.#thoughtIds.size === 0) return text;
    const reader = new ThoughtReader(this.#thoughtForm);
    return reader.push(text).content + reader.end().content;
  }

  /**
   * Makes the grammar of JSON that satisfies a schema, for `grammar` of a request. @throws UsageError "usage/grammar" for a
   * schema that is not supported; FormatError "format/file" for a tokenizer without bytes
   */
  async grammarOf(schema: object): Promise<Grammar> {
    this.#requireOpen("make a grammar");
    checkArguments("grammarOf", SCHEMA, { schema });
    this.#grammars ??= new Grammars(this.parts.origin.files);
    return await this.#grammars.ofSchema(schema);
  }

  /**
   * Computes the embedding [D] of a prompt: the mean of the outputs after the final norm, with the active task's adapter, scaled
   * to length 1. Takes turns with `write`; the caller owns the numbers. @throws as `Generator.embed`
   */
  async embed(promptIds: readonly number[], signal?: AbortSignal): Promise<Float32Array> {
    this.#requireOpen("embed a text");
    return await this.#inTurn(() => this.generator.embed(promptIds, signal));
  }

  /**
   * Writes text after a prompt; `onText` is told of each piece as it comes; what it throws or rejects with ends
   * the text. Calls are answered one after another: all use one cache. @throws as `Generator.generate`
   */
  async write(
    promptIds: readonly number[],
    request: TextRequest,
    onText: (piece: string) => void = () => {},
  ): Promise<WrittenText> {
    this.#requireOpen("generate text");
    checkArguments("write", ON_TEXT, { onText });
    return await withListener(onText, (tell) => this.#inTurn(() => this.#writeNow(promptIds, request, tell)));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastWrite.then(work);
    this.#lastWrite = done.catch(() => {});
    return await done;
  }

  async #writeNow(
    promptIds: readonly number[],
    asked: TextRequest,
    onText: (piece: string) => void,
  ): Promise<WrittenText> {
    const { goesOn, request } = partForm("write", asked);
    const form = goesOn ? { after: promptIds } : { shownIds: this.#thoughtIds };
    const stream = this.parts.tokenizer.stream({ skipSpecialTokens: true, ...form });
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

  /**
   * Writes after several prompts at once, each with its own task, in as few batches as their adapters allow; the results are in
   * the order of the prompts. Texts equal those of `write` except for rounding in products of several rows.
   * `onDone` receives each finished text. @throws as `TaskSet.writeRows`
   */
  async writeAll(
    prompts: readonly TaskPrompt[],
    signal?: AbortSignal,
    onDone?: (completion: Completion, row: number) => void,
  ): Promise<WrittenText[]> {
    this.#requireOpen("generate texts");
    checkArguments("writeAll", PROMPTS, { prompts });
    const { tokenizer } = this.parts;
    const asked = prompts.map((prompt) => partForm("writeAll", prompt));
    const rows = asked.map(({ request }) => ({ ...request, stopIds: this.stopIds }));
    const batch = this.tasks.writeRows(rows, signal, onDone);
    this.#batches.add(batch);
    const written = await batch.finally(() => this.#batches.delete(batch));
    return written.map((completion, row) => {
      const { goesOn, request } = asked[row]!;
      const { promptIds } = request;
      // A text that follows a grammar may end without a stop id.
      const isStopped = this.stopIds.includes(completion.ids.at(-1) ?? -1);
      const ids = isStopped ? completion.ids.slice(0, -1) : completion.ids;
      return {
        ...completion,
        promptIds,
        text: goesOn
          ? decodeAfter(tokenizer, promptIds, ids)
          : decodeAfter(tokenizer, [], ids, this.#thoughtIds),
      };
    });
  }

  /**
   * Frees the programs and closes the checkpoint, after earlier calls of `write` and `writeAll` have finished; streams of the
   * generator end as "aborted". Later calls are refused ("usage/state"). May be called more than once.
   */
  async close(): Promise<void> {
    await (this.#closed ??= this.#close());
  }

  #requireOpen(action: string): void {
    if (this.#closed) throw closedModel(action, this.parts.base.name);
  }

  async #close(): Promise<void> {
    await Promise.allSettled([this.#lastWrite, ...this.#batches]);
    const { base, adapter, checkpoint } = this.parts;
    await closeAll([
      () => base.source.operands?.save(),
      () => this.generator.engine.close(),
      this.#release,
      () => this.tasks.release(),
      () => adapter?.release(),
      () => checkpoint.close(),
    ]);
  }
}
