/**
 * @file A model that writes many texts at once: tokenizer and chat template around the engine of ids.
 *
 * Pieces of text come with the tokens that made them; a text ends before a stop string.
 */
import type { Message } from "../data/rows/messages.ts";
import type { RenderOptions } from "../data/chat/chat-template.ts";
import { Breath } from "../data/files/breath.ts";
import { encodeChat, encodePrompt } from "../data/chat/text-tools.ts";
import { fewestTokens } from "../data/tokenizer/fewest-tokens.ts";
import { type ClassOptions, classesOf } from "../data/examples/class-example.ts";
import { readAdapter } from "../format/by-path.ts";
import type { Compute } from "../nn/compute.ts";
import { type ComputeName, COMPUTES } from "../nn/computes.ts";
import type { Session } from "../run/session.ts";
import type { Residency } from "../run/weights/weights.ts";
import { createEngine } from "../runtime/create-engine.ts";
import { AdapterPool, type AdapterPoolOptions } from "./adapters/adapter-pool.ts";
import { closeAll } from "./opening/close-all.ts";
import { type ComputeChoice, chooseCompute } from "./opening/choose-compute.ts";
import { readToEnd } from "./generation/read-to-end.ts";
import { Grammars } from "./grammar/grammars.ts";
import type { PromptReader } from "./prompts/prompt-reader.ts";
import type { TokenLogProbs } from "./sampling/token-log-probs.ts";
import type { PartsOptions, TextParts } from "./opening/model-parts.ts";
import { ServingEngine } from "./serving/serving-engine.ts";
import type { ServingOptions } from "./serving/serving-options.ts";
import { NO_END, type ServeEnd, type ServeRequest, type ServedToken } from "./serving/serve-request.ts";
import { stopIdsOf } from "./answers/stop-ids.ts";
import { type CoTraining, requireOneBatch } from "./scheduling/co-training.ts";
import type { ToolFormat } from "./tool-calls/tool-format.ts";
import { findToolFormat } from "./tool-calls/tool-formats.ts";
import { StopStrings } from "./answers/stop-strings.ts";
import { openTextParts } from "./open-text-model.ts";
import { type ThoughtForm, findThoughtForm } from "./answers/thought-forms.ts";
import { openWritingSession } from "./opening/writing-session.ts";

export interface OpenServingOptions
  extends
    Pick<PartsOptions, "name" | "chatTemplate" | "base">,
    Pick<AdapterPoolOptions, "updateBytes" | "onNote">,
    Omit<ServingOptions, "keptBytes" | "prefillTokens" | "now"> {
  /** How weights are kept; "float32", as they are computed with, unless given. */
  readonly weights?: Residency;
  /** Arithmetic of the products in the blocks; "f32" unless given. */
  readonly compute?: ComputeChoice;
  /** Arithmetic of trainings on the model; that of its texts unless given. */
  readonly trainCompute?: ComputeName;
  /** Number of threads; all processors unless given. */
  readonly threads?: number | undefined;
  /** Most unused adapters that stay in memory. */
  readonly maxLoaded?: number;
  /** Folder of an adapter: if it predicts classes, so does the model, by the heads of its adapters. */
  readonly headOf?: string | undefined;
  /** How forward passes of trainings share the machine with texts; in slices unless given. */
  readonly coTraining?: CoTraining;
}

export interface TextJob extends Omit<ServeRequest, "adapter"> {
  /** Name of the adapter; the base alone unless given. */
  readonly adapter?: string | null;
  /** Strings before which the text ends. */
  readonly stop?: readonly string[];
  /** Whether the text continues that of its prompt; otherwise it begins a new one. */
  readonly goesOn?: boolean;
  /** Special tokens that are part of the text; others are left out. */
  readonly shown?: readonly string[];
  /** Log-probabilities of `writtenIds`, for callers that report these again. */
  readonly writtenLogProbs?: readonly (TokenLogProbs | null)[];
}

/** A token of a text that does not end it. */
export type WrittenToken = Pick<ServedToken, "id" | "logProbs">;

/** The next piece of a text, possibly "", and its token; null: the text was held back and is released at the end. */
export interface TextPiece {
  readonly text: string;
  readonly token: ServedToken | null;
  /** A token that the text already had; it was reported elsewhere together with this piece. */
  readonly told?: WrittenToken;
}

const MAX_LOADED = 16;
/** Length up to which a text is encoded before its tokens are checked against the room for them: this takes a few milliseconds. */
const QUICK_CHARACTERS = 1 << 15;
/** Most tokens of a mark, with white space after it. */
const MARK_TOKENS = 16;

/** Opens a model by name or path; the caller closes it. @throws as `openTextParts`, `ServingEngine`, `requireOneBatch` */
export async function openServingModel(model: string, options: OpenServingOptions): Promise<ServingModel> {
  const { name = model, chatTemplate, weights = "float32", compute = "f32", trainCompute } = options;
  const read = { name, chatTemplate, base: options.base, classes: { headOf: options.headOf } };
  const engine = createEngine({ threads: options.threads, shareScratch: true });
  const parts = await openTextParts(model, read);
  const { base, checkpoint } = parts;
  const opened: Session[] = [];
  const open = async (arithmetic: Compute): Promise<Session> => {
    const settings = { compute: arithmetic, tokenizer: () => parts.tokenizer };
    const session = await openWritingSession(engine, base, weights, settings);
    opened.push(session);
    return session;
  };
  try {
    const session = await open(chooseCompute(compute, base));
    const { maxLoaded = MAX_LOADED, updateBytes, onNote } = options;
    const writes = base.model.classPosition === null;
    // Texts to classify are rows of separate passes.
    const adapters = new AdapterPool({
      session,
      read: (folder) => readAdapter(folder, base),
      maxLoaded,
      updateBytes,
      onNote,
      isOwnFirst: !writes,
    });
    if (writes) await adapters.warmUp(null);
    const trained = trainCompute === undefined ? session.compute : COMPUTES[trainCompute];
    const trainingSession = trained === session.compute ? session : await open(trained);
    const serving = new ServingEngine(session, adapters, options);
    if (options.coTraining === "flat") {
      requireOneBatch(session, trainingSession);
      session.riders = serving;
    }
    return new ServingModel(parts, serving, trainingSession);
  } catch (error) {
    for (const session of opened) await session.release();
    await checkpoint.close();
    throw error;
  }
}

export class ServingModel {
  readonly parts: TextParts;
  readonly engine: ServingEngine;
  /** The session for trainings on the model: that of its texts if both have the same arithmetic. */
  readonly trainingSession: Session;
  /** Ids that end a text. */
  readonly stopIds: readonly number[];
  /** The grammars that texts can be held to. */
  readonly grammars: Grammars;
  readonly #fewestTokens: (parts: readonly string[]) => number;

  constructor(parts: TextParts, engine: ServingEngine, trainingSession: Session) {
    this.parts = parts;
    this.engine = engine;
    this.trainingSession = trainingSession;
    this.stopIds = stopIdsOf(parts.tokenizer, parts.checkpoint);
    this.grammars = new Grammars(parts.origin.files);
    this.#fewestTokens = fewestTokens(parts.tokenizer, parts.origin.files, QUICK_CHARACTERS);
  }

  /** How the model writes calls of functions. */
  get toolFormat(): ToolFormat {
    const { template, tokenizer } = this.parts;
    return findToolFormat({ template: template.source ?? "", specialTokens: tokenizer.specialTokens });
  }

  /** How the model marks its thoughts; null: it does not think. */
  get thoughtForm(): ThoughtForm | null {
    return findThoughtForm(this.parts.template.source ?? "");
  }

  /** Text that comes before an answer without thoughts and is not part of it; "": none. */
  get answerHead(): string {
    return this.thoughtForm?.heads[0] ?? "";
  }

  /** Whether a prompt ends with the opening mark of a thought, so that the text begins inside it. */
  hasBegunThought(promptIds: readonly number[]): boolean {
    const end = this.parts.tokenizer.decode(promptIds.slice(-MARK_TOKENS)).trimEnd();
    return this.thoughtForm?.opens.some((mark) => end.endsWith(mark)) === true;
  }

  /** The classes that the model predicts for texts; null: it writes text. */
  get classes(): ClassOptions | null {
    return classesOf(this.engine.session.model).classes ?? null;
  }

  /** Most tokens of a prompt and its text together. */
  get maxTokens(): number {
    return Math.min(this.engine.session.model.maxPositions, this.engine.capacityTokens);
  }

  /**
   * Encodes a text to continue, with the bos that the tokenizer asks for but no eos; `check` first receives a lower bound for the
   * number of tokens.
   */
  encodePrompt(text: string, check: (fewest: number) => void = () => {}): number[] {
    check(this.#fewestTokens([text]));
    return encodePrompt(this.parts, text);
  }

  /** Encodes a text to classify, with the tokens that the tokenizer adds around it; `check` as in `encodePrompt`. */
  encodeWhole(text: string, check: (fewest: number) => void = () => {}): number[] {
    check(this.#fewestTokens([text]));
    return this.parts.tokenizer.encode(text, { addSpecialTokens: true });
  }

  /**
   * Encodes a conversation, and the start of the assistant's next turn unless `options` say otherwise; `check` as in
   * `encodePrompt`.
   * @throws UsageError "usage/chat-template"
   */
  encodeChat(
    messages: readonly Message[],
    options?: RenderOptions,
    check: (fewest: number) => void = () => {},
  ): number[] {
    return encodeChat(this.parts, messages, options, (parts) => check(this.#fewestTokens(parts)));
  }

  /** Writes a text, piece by piece; the text ends when the caller stops reading. @throws as `ServingEngine.write` */
  async *write(job: TextJob): AsyncGenerator<TextPiece, ServeEnd, void> {
    const { stop = [], shown = [], goesOn = false, writtenLogProbs = [], ...request } = job;
    const { tokenizer } = this.parts;
    const shownIds = new Set(shown.flatMap((token) => tokenizer.specialTokens.get(token) ?? []));
    const after = goesOn ? job.promptIds : [];
    const decoder = tokenizer.stream({ skipSpecialTokens: true, shownIds, after });
    const stopper = new StopStrings(stop);
    const cancel = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, cancel.signal]) : cancel.signal;
    const tokens = this.engine.write({ stopIds: this.stopIds, ...request, signal });
    try {
      const breath = new Breath();
      for (const [i, id] of (job.writtenIds ?? []).entries()) {
        await breath.take();
        const told = { id, logProbs: writtenLogProbs[i] ?? null };
        yield { text: stopper.push(decoder.push(id)).text, token: null, told };
      }
      let step = await tokens.next();
      for (; !step.done; step = await tokens.next()) {
        const token = step.value;
        const { text, isStopped } = stopper.push(token.isStop ? "" : decoder.push(token.id));
        yield { text, token };
        if (!isStopped) continue;
        cancel.abort();
        return { ...(await readToEnd(tokens)), finishReason: "stop" };
      }
      // The held back text of a text that continues elsewhere is sent there.
      if (step.value.finishReason === "aborted") return step.value;
      const last = stopper.push(decoder.end());
      yield { text: last.isStopped ? last.text : last.text + stopper.end(), token: null };
      return last.isStopped ? { ...step.value, finishReason: "stop" } : step.value;
    } finally {
      cancel.abort();
      await tokens.return(NO_END);
    }
  }

  /** Runs a prompt for its reader, and writes nothing. @throws as `ServingEngine.write` */
  async read(
    request: Pick<ServeRequest, "promptIds" | "adapter" | "signal"> & { readonly reader: PromptReader },
  ): Promise<ServeEnd> {
    const end = await readToEnd(this.engine.write({ ...request, maxNewTokens: 0 }));
    return end.finishReason === "aborted" ? end : { ...end, finishReason: "stop" };
  }

  /** Ends all texts, frees the programs and closes the checkpoint. */
  async close(): Promise<void> {
    const { session, adapters } = this.engine;
    await closeAll([
      () => this.engine.close(),
      () => adapters.close(),
      () => this.parts.base.source.operands?.save(),
      ...[...new Set([session, this.trainingSession])].map((each) => () => each.release()),
      () => this.parts.checkpoint.close(),
    ]);
  }
}
