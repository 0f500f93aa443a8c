/** @file A model that a page has opened, and what it has learned: training, writing, and the adapter as files. */
import * as graft from "graft/core";

const MAX_LENGTH = 128;

/** What a page asks of a training. */
export interface TrainRequest {
  /** The examples, and the name of their file, whose end says what they are: `.txt`, `.jsonl`, `.csv`. */
  readonly text: string;
  readonly name: string;
  readonly steps: number;
}

function named<T extends { readonly name: string }>(list: readonly T[], name: string): T {
  return list.find((one) => one.name === name)!;
}

export class TrainedModel {
  readonly #session: graft.Session;
  readonly #checkpoint: graft.Checkpoint;
  readonly #tokenizer: graft.Tokenizer;
  #adapter: graft.Adapter | null = null;

  private constructor(session: graft.Session, checkpoint: graft.Checkpoint) {
    this.#session = session;
    this.#checkpoint = checkpoint;
    this.#tokenizer = graft.createTokenizer(checkpoint.tokenizerFiles!);
  }

  /** Opens a GGUF file, or the files of a model's folder. @throws what is wrong with them */
  static async open(engine: graft.Engine, files: readonly File[]): Promise<TrainedModel> {
    const folder = graft.memoryFolder("chosen", Object.fromEntries(files.map((file) => [file.name, file])));
    const checkpoint = await graft.openCheckpoint(folder);
    const base = await graft.loadWeights("chosen", checkpoint);
    // As floats: five times the memory of a file of 4 bits, a quarter less time for a step, and a sixth for a text.
    return new TrainedModel(new graft.Session(engine, base, "float32"), checkpoint);
  }

  /** Trains a new adapter; gives the loss of each step. @throws what is wrong with the text */
  async *train({ text, name, steps }: TrainRequest): AsyncGenerator<{ step: number; loss: number }> {
    const template = graft.createChatTemplate(this.#checkpoint.tokenizerFiles!);
    const reading = { tokenizer: this.#tokenizer, template, maxLength: MAX_LENGTH };
    const { examples } = graft.readExamples(text, name, reading);
    const base = this.#session.base;
    const method = named(graft.METHODS, "lora");
    const adapter = await graft.attach(base, { method, options: { rank: 8 } }, new graft.Random(0));
    const objective = named(graft.OBJECTIVES, "cross-entropy");
    const optimizer = named(graft.OPTIMIZERS, "adamw");
    const run = graft.fineTune({
      session: this.#session,
      adapter,
      plan: graft.planSteps({
        examples,
        batchSize: Math.min(4, examples.length),
        gradientAccumulationSteps: 1,
        packing: false,
        maxLength: MAX_LENGTH,
        shuffle: true,
        seed: 0,
      }),
      totalSteps: steps,
      toBatch: (units) => graft.unitsToBatch(units.flat()),
      maxLength: MAX_LENGTH,
      objective: { objective, options: objective.options.parse({}) },
      reference: null,
      optimizer: {
        optimizer,
        options: optimizer.options.parse({}),
        schedule: named(graft.SCHEDULES, "cosine"),
        learningRate: 1e-3,
        warmupSteps: 0,
        weightDecay: 0,
        maxGradNorm: 1,
      },
      evaluation: null,
      recompute: true,
      dropBp: null,
      seed: 0,
      store: graft.NO_STORE,
      saveEverySteps: null,
      logEverySteps: 1,
      settings: {},
      hooks: { peakMegabytes: () => 0 },
    });
    for await (const event of run) if (event.event === "step") yield event;
    this.#adapter = adapter;
  }

  /** Writes on from a text; gives each token and the text so far. */
  async *write(prompt: string, maxNewTokens: number): AsyncGenerator<{ id: number; text: string }> {
    const generator = await graft.Generator.create({ session: this.#session, adapter: this.#adapter });
    const promptIds = this.#tokenizer.encode(prompt);
    const ids: number[] = [];
    for await (const { id } of generator.generate({ promptIds, maxNewTokens })) {
      ids.push(id);
      yield { id, text: this.#tokenizer.decode(ids) };
    }
  }

  /** What was trained, as the files of a folder that peft loads too. */
  async files(): Promise<File[]> {
    if (this.#adapter === null) return [];
    const origin = { base: this.#session.base, checkpoint: this.#checkpoint, chatTemplateHash: null };
    const files = graft.adapterFiles(this.#adapter, origin);
    return await Promise.all(
      files.map(async (file) => {
        const parts: BlobPart[] = [];
        await file.fill(async (bytes) => void parts.push(bytes.slice()));
        return new File(parts, file.name);
      }),
    );
  }
}
