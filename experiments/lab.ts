/** @file What the experiments share: a base model, adapters trained on it, their combinations, and scores. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  type CombineInput,
  combineAdapters,
  createChatTemplate,
  createOrtEngine,
  createTokenizer,
  type DatasetOptions,
  Evaluator,
  type Example,
  loadModel,
  type LoadedModel,
  openTextModel,
  readAdapter,
  readDataset,
  resolveModel,
  train,
  type TrainInput,
} from "../src/index.ts";
import { HABIT, type Row } from "./texts.ts";

const SMALL_MODEL = fileURLToPath(new URL("../test/small-model", import.meta.url));
const MAX_LENGTH = 96;

/** How large a run is; tests run a tiny one. */
export interface Size {
  /** Rows to train on and to test on. */
  readonly train: number;
  readonly test: number;
  readonly steps: number;
}

const FLAGS = {
  model: { type: "string" },
  train: { type: "string" },
  test: { type: "string" },
  steps: { type: "string" },
} as const;

/** The size of a run as the command line has it, `--train N --test N --steps N`, else the one given. */
export function chosenSize(size: Size): Size {
  const { values } = parseArgs({ options: FLAGS });
  const number = (key: keyof Size): number => Number(values[key] ?? size[key]);
  return { train: number("train"), test: number("test"), steps: number("steps") };
}

/** The model that the command line names, `--model NAME`, else the small one of the tests. */
async function chosenModel(): Promise<string> {
  const { model } = parseArgs({ options: FLAGS, strict: false }).values;
  return typeof model === "string" ? (await resolveModel(model)).path : SMALL_MODEL;
}

/** How well answers are chosen. */
export interface Score {
  /** Mean loss of the right answer's tokens. */
  readonly loss: number;
  /** Share of the rows whose right answer is the likeliest of the choices. */
  readonly accuracy: number;
}

/** A base model with a folder for what is made on it. `adapter` null everywhere: the base alone. */
export class Lab {
  readonly model: string;
  readonly #folder: string;
  readonly #loaded: LoadedModel;
  readonly #engine = createOrtEngine();
  readonly #reading: Omit<DatasetOptions, "trainOn">;
  #numFiles = 0;

  private constructor(model: string, folder: string, loaded: LoadedModel) {
    this.model = model;
    this.#folder = folder;
    this.#loaded = loaded;
    const files = loaded.checkpoint.tokenizerFiles;
    if (files === null) throw new Error(`internal: ${model} has no tokenizer`);
    const [tokenizer, template] = [createTokenizer(files), createChatTemplate(files)];
    this.#reading = { tokenizer, template, maxLength: MAX_LENGTH };
  }

  /** Opens a model, unless given the one of the command line; the caller closes the lab, which removes all that was made. */
  static async open(model?: string): Promise<Lab> {
    const path = model ?? (await chosenModel());
    return new Lab(path, mkdtempSync(join(tmpdir(), "graft-lab-")), await loadModel(path));
  }

  async close(): Promise<void> {
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
  async train(
    data: readonly (Row | string)[],
    { steps }: Pick<Size, "steps">,
    options: Partial<TrainInput> = {},
  ): Promise<string> {
    const output = this.#path("trained");
    await train({
      model: this.model,
      data: this.#write(data),
      output,
      steps,
      seed: 1,
      batchSize: 16,
      maxLength: MAX_LENGTH,
      learningRate: 2e-3,
      warmupSteps: Math.ceil(steps / 20),
      keepWidened: true,
      logEvery: steps,
      ...options,
    });
    return output;
  }

  /** Combines adapters; returns the folder. */
  async combine(
    expression: string,
    adapters: Readonly<Record<string, string>>,
    options: Pick<CombineInput, "type" | "negate" | "rank"> = {},
  ): Promise<string> {
    const used = Object.entries(adapters).filter(([name]) => new RegExp(`\\b${name}\\b`).test(expression));
    const output = this.#path("combined");
    const combined = await combineAdapters({ expression, adapters: Object.fromEntries(used), ...options });
    await combined.write(output);
    return output;
  }

  #examples(data: readonly (Row | string)[]): readonly Example[] {
    return readDataset(this.#write(data), this.#reading).train;
  }

  async #evaluate<T>(adapter: string | null, use: (evaluator: Evaluator) => Promise<T>): Promise<T> {
    const { base } = this.#loaded;
    const read = adapter === null ? null : (await readAdapter(adapter, base)).adapter;
    const evaluator = await Evaluator.create(this.#engine, base, read);
    try {
      return await use(evaluator);
    } finally {
      await evaluator.release();
    }
  }

  /** The mean loss on rows or texts. */
  async loss(adapter: string | null, data: readonly (Row | string)[]): Promise<number> {
    const examples = this.#examples(data);
    return await this.#evaluate(adapter, async (evaluator) => (await evaluator.evaluate(examples)).loss);
  }

  /** How well the right answer is chosen among `choices`. */
  async score(adapter: string | null, rows: readonly Row[], choices: readonly string[]): Promise<Score> {
    const byChoice = choices.map((answer) => this.#examples(rows.map((row) => ({ ...row, answer }))));
    return await this.#evaluate(adapter, async (evaluator) => {
      let [lossSum, numTokens, numRight] = [0, 0, 0];
      for (const [i, { answer }] of rows.entries()) {
        const sums: number[] = [];
        for (const [k, examples] of byChoice.entries()) {
          const { loss, tokens } = await evaluator.evaluate([examples[i] as Example]);
          sums.push(loss * tokens);
          if (choices[k] !== answer) continue;
          lossSum += loss * tokens;
          numTokens += tokens;
        }
        if (choices[sums.indexOf(Math.min(...sums))] === answer) numRight++;
      }
      return { loss: lossSum / numTokens, accuracy: numRight / rows.length };
    });
  }

  /** Share of freely drawn answers that have the habit. */
  async habitShare(adapter: string | null, rows: readonly Row[]): Promise<number> {
    const model = await openTextModel(this.model, adapter === null ? {} : { adapterPath: adapter });
    try {
      let count = 0;
      for (const [seed, { question }] of rows.entries()) {
        const ids = model.encodeChat([{ role: "user", content: question }]);
        const sampling = { temperature: 1, topK: 0, topP: 1 };
        const { text } = await model.write(ids, { sampling, maxNewTokens: 40, seed });
        if (text.includes(HABIT.trim())) count++;
      }
      return count / rows.length;
    } finally {
      await model.close();
    }
  }
}
