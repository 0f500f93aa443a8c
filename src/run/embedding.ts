/** @file Runs what comes before the blocks, forward and, where it is trained, backward. */
import type { Value } from "../graph/graph.ts";
import { evaluateShape, sizeAt } from "../graph/shape.ts";
import type { PartGraph } from "../models/graphs/part-graph.ts";
import type { AdapterView } from "../peft/adapter-view.ts";
import type { HostTensor, Tensors } from "../runtime/host-tensor.ts";
import type { PassContext } from "./context.ts";
import type { GradientBuffer } from "./gradients/gradient-buffer.ts";
import { bindGradients } from "./gradients/gradient-outputs.ts";
import type { Session } from "./session.ts";
import type { Compiled } from "./session-programs.ts";
import { GRADIENT_OF_LAYERS, LAYERS, type StemProgram, stemProgram, trainsStem } from "./stem-program.ts";

/** The input of the model's stem: ids of tokens, int64 [B, T], or pixels of images [B, C, H, W]. */
export type ModelInput = HostTensor<"int64"> | HostTensor<"float32">;

interface StemPrograms {
  readonly forward: Compiled<StemProgram>;
  /** null: nothing in the stem is trained. */
  readonly backward: Compiled<StemProgram> | null;
}

export class Embedding {
  readonly #session: Session;
  readonly #adapter: AdapterView;
  readonly #programs: StemPrograms;
  readonly #tensors: Tensors;

  private constructor(session: Session, adapter: AdapterView, programs: StemPrograms, tensors: Tensors) {
    this.#session = session;
    this.#adapter = adapter;
    this.#programs = programs;
    this.#tensors = tensors;
  }

  /** Compiles the programs and reads the tensors that they need. */
  static async create(session: Session, adapter: AdapterView): Promise<Embedding> {
    const own = adapter.inputs(null);
    const trained = adapter.trained(null).map(({ input }) => input);
    const key = (kind: string): string =>
      JSON.stringify([kind, adapter.signature(null), Object.keys(own), trained]);
    const forward = await session.compile(
      key("stem"),
      () => stemProgram(session, adapter, "forward"),
      adapter,
    );
    const { part } = forward.made;
    const isTrained = trainsStem(part, trained);
    const backward = isTrained
      ? await session.compile(key("stem-backward"), () => stemProgram(session, adapter, "backward"), adapter)
      : null;
    const frozen = Object.keys(part.tensors).filter((name) => !(name in own));
    const tensors = await session.weights.readOutsideBlocks(frozen);
    return new Embedding(session, adapter, { forward, backward }, tensors);
  }

  /** Whether anything in it is trained. */
  get isTrained(): boolean {
    return this.#programs.backward !== null;
  }

  /** All inputs of a program; rows of tables among them are `lent`. */
  async #feeds(
    part: PartGraph,
    input: ModelInput,
    context: PassContext,
  ): Promise<{ feeds: Record<string, HostTensor>; lent: HostTensor[] }> {
    const ofPass = context.tensors(part);
    const feeds: Record<string, HostTensor> = { ...ofPass, ...this.#tensors, input };
    Object.assign(feeds, this.#adapter.inputs(null));
    const { pool, model } = this.#session;
    const lent: HostTensor[] = [];
    try {
      for (const { table, ids, rows } of part.gathered) {
        const { shape, data } = numbersOf(ids, input, ofPass);
        const gathered = pool.acquire("float32", [...shape, model.tensors.get(table)?.shape[1] ?? 0]);
        lent.push(gathered);
        await this.#readRows(table, data, gathered);
        feeds[rows.name] = gathered;
      }
    } catch (error) {
      pool.release(...lent);
      throw error;
    }
    return { feeds, lent };
  }

  /** Reads rows of a trained table or of one of the base, by number. Equal numbers are read once. */
  async #readRows(
    table: string,
    numbers: BigInt64Array,
    { data, shape }: HostTensor<"float32">,
  ): Promise<void> {
    const own = this.#adapter.inputs(null)[table]?.data as Float32Array | undefined;
    const width = sizeAt(shape, -1);
    const firstAt = new Map<bigint, number>();
    for (const [at, id] of numbers.entries()) {
      const first = firstAt.get(id);
      if (first === undefined) {
        firstAt.set(id, at);
        const row = data.subarray(at * width, (at + 1) * width);
        if (own) row.set(own.subarray(Number(id) * width, (Number(id) + 1) * width));
        else await this.#session.base.source.readInto(table, row, Number(id) * width);
      } else data.copyWithin(at * width, first * width, (first + 1) * width);
    }
  }

  /** Embeds the input as x [B, T, D]; the caller releases the result. */
  async forward(input: ModelInput, context: PassContext): Promise<HostTensor<"float32">> {
    const { program, made } = this.#programs.forward;
    const { pool } = this.#session;
    const { feeds, lent } = await this.#feeds(made.part, input, context);
    const acquire = ({ shape }: Value): HostTensor<"float32"> =>
      pool.acquire("float32", evaluateShape(shape, context.bindings));
    const { x: ofStream, [LAYERS]: ofLayers } = program.spec.outputs;
    const x = acquire(ofStream!);
    const layers = ofLayers && acquire(ofLayers);
    try {
      await program.run(feeds, { x, ...(layers && { [LAYERS]: layers }) });
    } catch (error) {
      pool.release(x, ...(layers ? [layers] : []));
      throw error;
    } finally {
      pool.release(...lent);
    }
    if (layers) context.links.giveLayers(layers);
    return x;
  }

  /** Collects the gradients of the trained parameters from dx [B, T, D]. */
  async backward(
    input: ModelInput,
    dx: HostTensor<"float32">,
    context: PassContext,
    buffer: GradientBuffer,
  ): Promise<void> {
    const { backward } = this.#programs;
    if (!backward) return;
    const { program, made } = backward;
    const { pool } = this.#session;
    const trained = this.#adapter.trained(null);
    const { into, add } = bindGradients(buffer, trained, made.gradients);
    const { feeds, lent } = await this.#feeds(made.part, input, context);
    const rows = made.rowGradients.map((each) => {
      const { shape } = program.spec.outputs[each.output]!;
      return { ...each, gradient: pool.acquire("float32", evaluateShape(shape, context.bindings)) };
    });
    const ofRows = Object.fromEntries(rows.map(({ output, gradient }) => [output, gradient]));
    const { layers, gradients } = context.links;
    const ofLayers = layers && { [GRADIENT_OF_LAYERS]: gradients.ofLayers(layers) };
    await program.run({ ...feeds, dx, ...ofLayers }, { ...into, ...ofRows });
    pool.release(...lent);
    await add();
    const ofPass = context.tensors(made.part);
    for (const { table, ids, gradient } of rows) {
      const parameter = trained.find((each) => each.input === table)!;
      await buffer.addRows(parameter, numbersOf(ids, input, ofPass).data, gradient.data);
      pool.release(gradient);
    }
  }
}

/** The row numbers that a look-up reads. */
function numbersOf(ids: Value, input: ModelInput, ofPass: Tensors): HostTensor<"int64"> {
  return (ids.name === "input" ? input : ofPass[ids.name!]) as HostTensor<"int64">;
}
