/** @file What the experiments share: a base model, adapters trained on it, their combinations, and scores. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Adapter,
  attach,
  type CombineInput,
  combineAdapters,
  createChatTemplate,
  createEngine,
  createTokenizer,
  type DatasetOptions,
  Evaluator,
  type Example,
  loadModel,
  type LoadedModel,
  mergedModel,
  METHODS,
  openTextModel,
  Random,
  readAdapter,
  readDataset,
  Session,
  train,
  type TrainInput,
} from "../src/index.ts";
import { type Score, firstToken, scoreChoices } from "./choices.ts";
import type { Setup } from "./command.ts";
import type { Row } from "./texts.ts";

const MAX_LENGTH = 96;

/** A base model with a folder for what is made on it. `adapter` null everywhere: the base alone. */
export class Lab {
  readonly setup: Setup;
  readonly #folder: string;
  readonly #loaded: LoadedModel;
  readonly #session: Session;
  readonly #reading: Omit<DatasetOptions, "trainOn">;
  #numFiles = 0;

  private constructor(setup: Setup, folder: string, loaded: LoadedModel) {
    this.setup = setup;
    this.#folder = folder;
    this.#loaded = loaded;
    this.#session = new Session(createEngine(), loaded.base, "float32");
    const files = loaded.checkpoint.tokenizerFiles;
    if (files === null) throw new Error(`internal: ${setup.model} has no tokenizer`);
    const [tokenizer, template] = [createTokenizer(files), createChatTemplate(files)];
    this.#reading = { tokenizer, template, maxLength: MAX_LENGTH };
  }

  /** Opens the model, works with it, and removes all that was made. */
  static async within<T>(setup: Setup, work: (lab: Lab) => Promise<T>): Promise<T> {
    const loaded = await loadModel(setup.model);
    const lab = new Lab(setup, mkdtempSync(join(tmpdir(), "graft-lab-")), loaded);
    try {
      return await work(lab);
    } finally {
      await lab.#close();
    }
  }

  get numLayers(): number {
    return this.#loaded.base.model.numLayers;
  }

  async #close(): Promise<void> {
    await this.#session.release();
    await this.#loaded.checkpoint.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#folder, `${++this.#numFiles}-${name}`);
  }

  #write(data: readonly (Row | string)[]): string {
    const rows = data.map((row) =>
      typeof row === "string"
        ? { text: row }
        : {
            messages: [
              { role: "user", content: row.question },
              { role: "assistant", content: row.answer },
            ],
          },
    );
    const path = this.#path("rows.jsonl");
    writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    return path;
  }

  /** Trains an adapter, or by method "full" a model; all adapters start equal. Returns the folder. */
  async train(data: readonly (Row | string)[], options: Partial<TrainInput> = {}): Promise<string> {
    const output = this.#path("trained");
    const { model, batchSize, learningRate } = this.setup;
    const steps = options.steps ?? this.setup.steps;
    await train({
      model,
      data: this.#write(data),
      output,
      steps,
      seed: 1,
      batchSize,
      maxLength: MAX_LENGTH,
      learningRate,
      warmupSteps: Math.ceil(steps / 20),
      weights: "float32",
      logEvery: steps,
      ...options,
    });
    return output;
  }

  /** Combines adapters; returns the folder. */
  async combine(
    expression: string,
    adapters: Readonly<Record<string, string>>,
    options: Pick<CombineInput, "type" | "negate" | "normalize" | "rank"> = {},
  ): Promise<string> {
    const used = Object.entries(adapters).filter(([name]) => new RegExp(`\\b${name}\\b`).test(expression));
    const output = this.#path("combined");
    const combined = await combineAdapters({ expression, adapters: Object.fromEntries(used), ...options });
    await combined.write(output);
    return output;
  }

  async #examples(data: readonly (Row | string)[]): Promise<readonly Example[]> {
    return (await readDataset(this.#write(data), this.#reading)).train;
  }

  async #read(adapter: string | null): Promise<Adapter | null> {
    return adapter === null ? null : (await readAdapter(adapter, this.#loaded.base)).adapter;
  }

  /** The mean loss on rows or texts. */
  async loss(adapter: string | null, data: readonly (Row | string)[]): Promise<number> {
    const evaluator = await Evaluator.create(this.#session, await this.#read(adapter));
    return (await evaluator.evaluate(await this.#examples(data))).loss;
  }

  /** The mean loss of the model with an adapter merged, once its projections are rounded to codes. */
  async lossRounded(
    adapter: string | null,
    data: readonly (Row | string)[],
    codes: { readonly bits: number; readonly groupSize: number },
  ): Promise<number> {
    const { engine } = this.#session;
    const { base } = this.#loaded;
    const own = await this.#read(adapter);
    const merged = own && (await mergedModel(engine, base, own));
    const session = new Session(engine, merged?.model ?? base, "float32");
    const targets = { modules: null, exclude: [], layers: null };
    const method = METHODS.find(({ name }) => name === "peqa")!;
    const rounded = await attach(session.base, { method, options: codes, targets }, new Random(1));
    try {
      const evaluator = await Evaluator.create(session, rounded);
      return (await evaluator.evaluate(await this.#examples(data))).loss;
    } finally {
      rounded.release();
      await session.release();
      await merged?.release();
    }
  }

  /** How well the right answer is chosen among `choices`. */
  async score(adapter: string | null, rows: readonly Row[], choices: readonly string[]): Promise<Score> {
    const answers = await this.#examples(choices.map((answer) => ({ question: "", answer })));
    const firsts = answers.map(firstToken);
    return await scoreChoices(this.#session, await this.#read(adapter), await this.#examples(rows), firsts);
  }

  /** What is written to each question, drawn at `temperature` with a seed of its own; 0: the likeliest words. */
  async answers(
    adapter: string | null,
    rows: readonly Row[],
    temperature: number,
  ): Promise<readonly string[]> {
    const options = adapter === null ? {} : { adapterPath: adapter };
    const model = await openTextModel(this.setup.model, options);
    try {
      const texts: string[] = [];
      for (const [seed, { question }] of rows.entries()) {
        const ids = model.encodeChat([{ role: "user", content: question }]);
        const sampling = { temperature, topK: 0, topP: 1, minP: 0 };
        texts.push((await model.write(ids, { sampling, maxNewTokens: 40, seed })).text);
      }
      return texts;
    } finally {
      await model.close();
    }
  }
}
