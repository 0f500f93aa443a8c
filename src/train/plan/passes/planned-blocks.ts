/** @file The blocks in a planned pass, forward and backward. It mirrors `run/blocks/block-runner`. */
import type { AdapterView } from "../../../peft/adapter-view.ts";
import {
  type BackwardPlan,
  type BackwardRequest,
  type BlockPlan,
  backwardPlanner,
} from "../../../run/blocks/backward-plan.ts";
import { type Saves, blockProgram } from "../../../run/blocks/block-programs.ts";
import { type BlockStructure, structuresOf, tensorsRead } from "../../../run/blocks/block-structure.ts";
import type { PlannedGradients } from "./planned-gradients.ts";
import { type Pass, type PassPlace, makeInputs } from "./planned-place.ts";
import type { PlannedBlock } from "./planned-pool.ts";

export class PlannedBlocks {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView;
  readonly #structures: readonly BlockStructure[];
  readonly #gradients: PlannedGradients;
  readonly plan: (request: BackwardRequest) => BackwardPlan;
  /** Keys of structures that bind weights. */
  readonly #binding: ReadonlySet<string>;

  /** `training`: dropout is drawn. */
  constructor(
    place: PassPlace,
    adapter: AdapterView,
    gradients: PlannedGradients,
    { training }: { readonly training: boolean },
  ) {
    this.#place = place;
    this.#adapter = adapter;
    this.#structures = structuresOf(place.session, adapter, { training });
    this.plan = backwardPlanner(place.session.model, this.#structures);
    this.#gradients = gradients;
    const different = new Map(this.#structures.map((structure) => [structure.key, structure]));
    const bind = [...different.values()].filter((structure) =>
      tensorsRead(place.session.model, structure).some(({ preparation }) => preparation.binding === "bound"),
    );
    this.#binding = new Set(bind.map(({ key }) => key));
  }

  /** The block whose weights its programs bind, or null. */
  #owner(layer: number): number | null {
    return this.#binding.has(this.#structures[layer]!.key) ? layer : null;
  }

  get count(): number {
    return this.#structures.length;
  }

  /** Runs a block forward: what it gives, and what is saved of it by name. */
  forward(
    layer: number,
    pass: Pass,
    saves: Saves,
    dropped: readonly string[],
  ): { y: PlannedBlock; saved: Readonly<Record<string, PlannedBlock>> } {
    const { programs, pool, session } = this.#place;
    const sizes = {
      length: pass.bindings.T,
      inputGradient: true,
      dropped: saves === "nothing" ? [] : dropped,
    };
    const program = blockProgram(session.model, this.#structures[layer]!, {
      kind: "forward",
      saves,
      ...sizes,
    });
    const { spec, made } = programs.build(program);
    makeInputs(pool, made.part, pass);
    const masks = made.part.dropout.map(({ mask }) => pool.acquire(mask, pass.bindings));
    const y = pool.acquire(spec.outputs["y"]!, pass.bindings);
    const saved = Object.fromEntries(
      made.saved.map((name) => [name, pool.acquire(spec.outputs[name]!, pass.bindings)]),
    );
    programs.run(program, pass.bindings, this.#owner(layer));
    pool.release(...masks);
    return { y, saved };
  }

  /** Runs a block backward, given what was saved of it; gives the gradient of its input where that is wanted. */
  backward(
    layer: number,
    pass: Pass,
    given: readonly string[],
    { dropped, wantsInput: inputGradient }: Pick<BlockPlan, "dropped" | "wantsInput">,
  ): PlannedBlock | null {
    const { programs, pool, session } = this.#place;
    const variant = { kind: "backward", given, length: pass.bindings.T, inputGradient, dropped } as const;
    const program = blockProgram(session.model, this.#structures[layer]!, variant);
    const { spec, made } = programs.build(program);
    const dx = inputGradient ? pool.acquire(spec.outputs["dx"]!, pass.bindings) : null;
    this.#gradients.collect(this.#adapter.trained(layer), made.gradients, () => {
      const masks = made.part.dropout.map(({ mask }) => pool.acquire(mask, pass.bindings));
      programs.run(program, pass.bindings, this.#owner(layer));
      pool.release(...masks);
    });
    return dx;
  }
}
