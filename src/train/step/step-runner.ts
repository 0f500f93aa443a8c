/**
 * @file Log-probabilities and gradients of one micro-batch: embedding, blocks forward, head, blocks backward.
 *
 * Blocks below the first trained one are run without saving anything and never run backward.
 */
import type { Batch } from "../../data/batches/batch.ts";
import { factsOf, labelledPositions } from "../../data/batches/pass-facts.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { BackwardPlan } from "../../run/blocks/backward-plan.ts";
import { type BlockPass, BlockRunner } from "../../run/blocks/block-runner.ts";
import { PassContext } from "../../run/context.ts";
import { Embedding } from "../../run/embedding.ts";
import { type BetweenBlocks, forwardBlocks } from "../../run/blocks/forward-blocks.ts";
import { GradientBuffer } from "../../run/gradients/gradient-buffer.ts";
import { LabelHead } from "../../run/head/label-head.ts";
import { slicedTableOf } from "../../run/head/head-graph.ts";
import type { Session } from "../../run/session.ts";
import { trainedValues } from "../../run/weights/trained-values.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { ShardDisk } from "../../runtime/memory/shard.ts";
import { whileHeld } from "../../runtime/memory/vector-memory.ts";
import { float32 } from "../activations/float32.ts";
import type { ActivationForm, KeptActivations } from "../activations/keeping.ts";
import { type Recompute, savesOf } from "../recompute.ts";
import { type BlocksBackward, runBlocksBackward } from "./blocks-backward.ts";
import { Dropout } from "./dropout.ts";
import type { MicroBatchKey } from "./micro-batch.ts";

/** Where activations wait between the forward and the backward pass of their block. */
export interface ActivationPlace {
  readonly form: ActivationForm;
  /** The disk, for forms of activations that use one. */
  readonly disk: ShardDisk | null;
}

/** What `StepRunner.create` needs. */
export interface StepRunnerOptions {
  readonly session: Session;
  readonly adapter: Adapter;
  readonly recompute: Recompute;
  /** Default: in memory, as they are. */
  readonly activations?: ActivationPlace | undefined;
  /** Seed of the dropout; null: nothing is dropped. */
  readonly seed: number | null;
  readonly betweenBlocks?: BetweenBlocks | undefined;
}

/** Runs a micro-batch, and collects its gradients. */
export type MicroBatchRunner = Pick<StepRunner, "logProbs" | "accumulate" | "gradients">;

/** The compiled parts of a step. */
interface Stages {
  readonly runner: BlockRunner;
  readonly embedding: Embedding;
  readonly head: LabelHead;
  readonly gradients: GradientBuffer;
  /** Null: nothing is dropped. */
  readonly dropout: Dropout | null;
}

/** How a micro-batch runs backward. */
interface AccumulateOptions {
  /** Whether no other micro-batch follows in the step. */
  readonly isLast?: boolean;
}

export class StepRunner {
  readonly gradients: GradientBuffer;
  readonly #stages: Stages;
  readonly #options: StepRunnerOptions;
  /** Which branches of each block the backward pass leaves out, and which blocks it runs. */
  #plan: BackwardPlan;

  private constructor(options: StepRunnerOptions, stages: Stages) {
    this.#options = options;
    this.#stages = stages;
    this.gradients = stages.gradients;
    this.#plan = stages.runner.planBackward({ dropped: [], trainsStem: stages.embedding.isTrained });
  }

  /**
   * Leaves branches out of the backward pass from now on, by block: their parameters have no gradient, none flows through
   * them, and nothing is saved for them. The forward pass stays as it is.
   */
  dropBranches(dropped: readonly (readonly string[])[]): void {
    const { runner, embedding } = this.#stages;
    this.#plan = runner.planBackward({ dropped, trainsStem: embedding.isTrained });
  }

  /** Whether no trained parameter would have a gradient. */
  get isIdle(): boolean {
    return this.#plan.stopsAtHead && this.#options.adapter.trained(null).length === 0;
  }

  /** Compiles the programs outside the blocks; block programs are compiled when first needed. */
  static async create(options: StepRunnerOptions): Promise<StepRunner> {
    const { session, adapter, seed } = options;
    const dropout = seed === null ? null : new Dropout(seed, session.model);
    const fillDropout = dropout?.fill ?? null;
    const sliced = slicedTableOf(
      session.model,
      adapter.trained(null).map(({ input }) => input),
      adapter,
    );
    const stages = {
      dropout,
      runner: new BlockRunner(session, adapter, fillDropout),
      embedding: await Embedding.create(session, adapter),
      head: new LabelHead(session, adapter, { fillDropout, betweenBlocks: options.betweenBlocks }),
      // Created last: its programs do not belong to the session, and would leak if another program failed to compile.
      gradients: await GradientBuffer.create(session.engine, adapter, session.pool, {
        numRows: session.sliceRows,
        isSliced: ({ layer, input }) => layer === null && input === sliced,
      }),
    };
    return new StepRunner(options, stages);
  }

  /** Log-probabilities of the batch's labels, with the dropout of this micro-batch; no gradient. */
  logProbs(batch: Batch, key: MicroBatchKey): Promise<Float32Array> {
    return this.#pass(batch, key, async (pass) => {
      const x = await this.#forward(batch, pass, null);
      this.#stages.runner.rest(pass);
      const logProbs = new Float32Array(batch.numLabels);
      const labelled = labelledPositions(batch);
      await this.#withStemAndHead(() => this.#stages.head.logProbs(x, labelled, logProbs));
      this.#options.session.pool.release(x);
      return logProbs;
    });
  }

  /**
   * Adds the gradients of a function of the log-probabilities of the batch's labels to `gradients`; `derivatives` are
   * those of the function by each. Returns the log-probabilities.
   */
  accumulate(
    batch: Batch,
    derivatives: Float32Array,
    key: MicroBatchKey,
    { isLast = false }: AccumulateOptions = {},
  ): Promise<Float32Array> {
    this.gradients.isLast = isLast;
    return this.#accumulate(batch, derivatives, key, runBlocksBackward);
  }

  /** A runner with the same programs that runs the blocks backward in another way. */
  withBackward(blocksBackward: BlocksBackward): MicroBatchRunner {
    return {
      gradients: this.gradients,
      logProbs: (batch, key) => this.logProbs(batch, key),
      accumulate: (batch, derivatives, key) => this.#accumulate(batch, derivatives, key, blocksBackward),
    };
  }

  #accumulate(
    batch: Batch,
    derivatives: Float32Array,
    key: MicroBatchKey,
    blocksBackward: BlocksBackward,
  ): Promise<Float32Array> {
    if (this.isIdle) return this.logProbs(batch, key);
    const { session, betweenBlocks, activations = { form: float32, disk: null } } = this.#options;
    const { runner, embedding, head, gradients } = this.#stages;
    const kept = activations.form.begin(session, activations.disk);
    return this.#pass(batch, key, async (pass) => {
      const x = await this.#forward(batch, pass, kept);
      const logProbs = new Float32Array(batch.numLabels);
      const ofLabels = { derivatives, into: logProbs };
      const labelled = labelledPositions(batch);
      runner.rest(pass);
      const headBackward = (): Promise<HostTensor<"float32">> =>
        this.#withStemAndHeadGradients(() => head.gradient(x, labelled, ofLabels, gradients));
      const stemBackward = (dx: HostTensor<"float32">): Promise<void> =>
        this.#withStemAndHeadGradients(() => embedding.backward(batch.input, dx, pass.context, gradients));
      await blocksBackward({
        runner,
        gradients,
        pass,
        kept,
        plan: this.#plan,
        betweenBlocks,
        x,
        dy: await headBackward(),
        headBackward,
        stemBackward: embedding.isTrained ? stemBackward : null,
      });
      return logProbs;
    }).finally(() => kept.end());
  }

  /** Keeps the trained parameters outside the blocks in memory during `work`. */
  #withStemAndHead<T>(work: () => Promise<T>): Promise<T> {
    const { adapter } = this.#options;
    return whileHeld(adapter.memory, trainedValues(adapter, null), "read", work);
  }

  #withStemAndHeadGradients<T>(work: () => Promise<T>): Promise<T> {
    return this.#withStemAndHead(async () => {
      const hold = await this.gradients.hold(this.#options.adapter.trained(null));
      return await work().finally(() => hold.release());
    });
  }

  async #pass<T>(batch: Batch, key: MicroBatchKey, run: (pass: BlockPass) => Promise<T>): Promise<T> {
    const { session } = this.#options;
    const requireOpen = (): void => session.requireOpen(`train on model "${session.base.name}"`);
    requireOpen();
    const { runner, dropout } = this.#stages;
    dropout?.begin(key);
    const pass = runner.begin(new PassContext(factsOf(batch), session.pool, session.tables));
    try {
      return await run(pass);
    } catch (error) {
      // A pass whose programs were released meanwhile fails with a misleading error: report the closed session instead.
      requireOpen();
      throw error;
    } finally {
      runner.end(pass);
    }
  }

  /** Runs the blocks forward; `kept` takes what their backward passes need; null: no backward pass follows. */
  async #forward(
    batch: Batch,
    pass: BlockPass,
    kept: KeptActivations | null,
  ): Promise<HostTensor<"float32">> {
    const { recompute, session, betweenBlocks } = this.#options;
    const { runner, embedding } = this.#stages;
    let x = await this.#withStemAndHead(() => embedding.forward(batch.input, pass.context));
    await forwardBlocks(runner, pass, betweenBlocks, async (layer, withRide) => {
      const { dropped, runs } = this.#plan.blocks[layer]!;
      const isTraced = kept !== null && runs;
      const saves = isTraced ? savesOf(recompute) : "nothing";
      const { y, saved } = await runner.forward(layer, x, withRide, { saves, dropped });
      if (isTraced) await kept.keep({ ...saved, x });
      else session.pool.release(x);
      x = y;
    });
    return x;
  }

  /** Frees the gradients, which do not belong to the session. */
  async release(): Promise<void> {
    await this.gradients.release();
  }
}
