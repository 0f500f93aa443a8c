/** @file Runs a model forward over whole rows, without gradients: embedding, blocks, and a reader of their output. */
import type { PassFacts } from "../nn/pass.ts";
import type { AdapterView } from "../peft/adapter-view.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { BlockRunner } from "./blocks/block-runner.ts";
import { PassContext } from "./context.ts";
import { Embedding, type ModelInput } from "./embedding.ts";
import { type BetweenBlocks, forwardBlocks } from "./blocks/forward-blocks.ts";
import { Head } from "./head/head.ts";
import { LabelHead } from "./head/label-head.ts";
import { whileHeld } from "../runtime/memory/vector-memory.ts";
import type { Session } from "./session.ts";
import { trainedValues } from "./weights/trained-values.ts";

export class ForwardPass {
  readonly session: Session;
  readonly head: Head;
  readonly labelHead: LabelHead;
  readonly #runner: BlockRunner;
  readonly #embedding: Embedding;
  readonly #betweenBlocks: BetweenBlocks | undefined;

  private constructor(
    session: Session,
    adapter: AdapterView,
    embedding: Embedding,
    betweenBlocks: BetweenBlocks | undefined,
  ) {
    this.session = session;
    this.head = new Head(session, adapter, betweenBlocks);
    this.labelHead = new LabelHead(session, adapter, { betweenBlocks });
    this.#runner = new BlockRunner(session, adapter, null);
    this.#embedding = embedding;
    this.#betweenBlocks = betweenBlocks;
  }

  /** Compiles the programs that belong to no block. */
  static async create(
    session: Session,
    adapter: AdapterView,
    betweenBlocks?: BetweenBlocks,
  ): Promise<ForwardPass> {
    const embedding = await Embedding.create(session, adapter);
    return new ForwardPass(session, adapter, embedding, betweenBlocks);
  }

  /** Runs rows; `read` receives x [B, T, D], which is valid only during the call. */
  async run<T>(
    input: ModelInput,
    facts: PassFacts,
    read: (x: HostTensor<"float32">) => Promise<T>,
  ): Promise<T> {
    this.session.requireOpen(`run model "${this.session.base.name}"`);
    const { pool, tables } = this.session;
    const pass = this.#runner.begin(new PassContext(facts, pool, tables));
    const { memory } = this.session.weights;
    const outer = trainedValues(this.#runner.adapter, null);
    try {
      let x = await whileHeld(memory, outer, "read", () => this.#embedding.forward(input, pass.context));
      try {
        await forwardBlocks(this.#runner, pass, this.#betweenBlocks, async (layer, withRide) => {
          const { y } = await this.#runner.forward(layer, x, withRide, { saves: "nothing" });
          pool.release(x);
          x = y;
        });
        this.#runner.rest(pass);
        return await whileHeld(memory, outer, "read", () => read(x));
      } finally {
        pool.release(x);
      }
    } finally {
      this.#runner.end(pass);
    }
  }
}
