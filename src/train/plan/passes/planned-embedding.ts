/** @file The embedding in a planned pass, forward and backward. It mirrors `run/embedding`. */
import type { TensorType, Value } from "../../../graph/graph.ts";
import { type Bindings, sizeAt, evaluateSize } from "../../../graph/shape.ts";
import { type AdapterView, NO_ADAPTER } from "../../../peft/adapter-view.ts";
import { LAYERS, stemProgram, trainsStem } from "../../../run/stem-program.ts";
import type { PlannedGradients } from "./planned-gradients.ts";
import { type Pass, type PassPlace, floats, makeInputs } from "./planned-place.ts";
import type { PlannedBlock } from "./planned-pool.ts";

export class PlannedEmbedding {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView;
  readonly #gradients: PlannedGradients;

  constructor(place: PassPlace, adapter: AdapterView, gradients: PlannedGradients) {
    this.#place = place;
    this.#adapter = adapter;
    this.#gradients = gradients;
  }

  /** Whether a gradient flows into it. */
  trains(): boolean {
    const { part } = this.#place.programs.build(this.#stem("forward")).made;
    const trained = this.#adapter.trained(null).map(({ input }) => input);
    return trainsStem(part, trained);
  }

  forward(pass: Pass): PlannedBlock {
    const { programs, pool } = this.#place;
    const stem = this.#stem("forward");
    const { spec, made } = programs.build(stem);
    makeInputs(pool, made.part, pass);
    const rows = made.part.gathered.map((gathered) => pool.acquire(gathered.rows, pass.bindings));
    const x = pool.acquire(spec.outputs["x"]!, pass.bindings);
    const forLayers = spec.outputs[LAYERS];
    if (forLayers) pass.made.set(LAYERS, pool.acquire(forLayers, pass.bindings));
    programs.run(stem, pass.bindings);
    pool.release(...rows);
    return x;
  }

  backward(pass: Pass): void {
    const { programs, pool } = this.#place;
    const stem = this.#stem("backward");
    const { made } = programs.build(stem);
    const rows = made.part.gathered.map((gathered) => pool.acquire(gathered.rows, pass.bindings));
    const trained = this.#adapter.trained(null);
    this.#gradients.collect(trained, made.gradients, () => {
      const ofRows = made.rowGradients.map((each) => pool.acquire(each.rows, pass.bindings));
      if (made.part.links.layers) pass.links.needLayers(pool, made.part.links.layers, pass.bindings);
      programs.run(stem, pass.bindings);
      pool.release(...rows);
      for (const { table, rows: like } of made.rowGradients) {
        this.#addRows(like, pass.bindings);
        this.#gradients.add(trained.find(({ input }) => input === table)!);
      }
      pool.release(...ofRows);
    });
  }

  /** Lends the memory for adding to rows of a table: the old rows, the addends, their sum, and the row indices. */
  #addRows({ shape }: Value, bindings: Bindings): void {
    const numRows = evaluateSize(shape.slice(0, -1), bindings);
    const numbers: TensorType = { dtype: "int64", shape: [numRows] };
    const rows = floats([numRows, sizeAt(shape, -1)]);
    const { pool } = this.#place;
    const lent = [rows, rows, rows, numbers].map((type) => pool.acquire(type, {}));
    pool.release(...lent);
  }

  #stem(direction: "forward" | "backward") {
    const make = (): ReturnType<typeof stemProgram> =>
      stemProgram(this.#place.session, this.#adapter, direction);
    return { key: `stem ${direction} ${this.#adapter === NO_ADAPTER}`, make };
  }
}
