/** @file The blocks in a planned pass, forward and backward. It mirrors `run/blocks/block-runner`. */
import type { ProgramSpec } from "../../../graph/program.ts";
import { LAYER_INPUT, OTHER_KEY, OTHER_VALUE } from "../../../models/graphs/part-links.ts";
import type { AdapterView } from "../../../peft/adapter-view.ts";
import {
  type BackwardPlan,
  type BackwardRequest,
  type BlockPlan,
  backwardPlanner,
} from "../../../run/blocks/backward-plan.ts";
import { GIVEN_KEY, GIVEN_VALUE } from "../../../run/blocks/block-gradients.ts";
import { type Saves, blockProgram } from "../../../run/blocks/block-programs.ts";
import { type BlockStructure, structuresOf, tensorsRead } from "../../../run/blocks/block-structure.ts";
import { gradientName } from "../../../run/gradients/gradient-outputs.ts";
import type { PlannedGradients } from "./planned-gradients.ts";
import { type Pass, type PassPlace, floats, makeInputs } from "./planned-place.ts";
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

  /** The block itself if its programs bind its weights, or null. */
  #owner(layer: number): number | null {
    return this.#binding.has(this.#structures[layer]!.key) ? layer : null;
  }

  get count(): number {
    return this.#structures.length;
  }

  /** Runs a block forward; returns its output, and what it saved, by name. */
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
    for (const name of [GIVEN_KEY, GIVEN_VALUE]) {
      const output = spec.outputs[name];
      if (output) pass.made.set(`${name} of ${layer}`, pool.acquire(output, pass.bindings));
    }
    programs.run(program, pass.bindings, this.#owner(layer));
    pool.release(...masks);
    return { y, saved };
  }

  /** Runs a block backward, given what it saved; returns the gradient of its input if wanted. */
  backward(
    layer: number,
    pass: Pass,
    given: readonly string[],
    {
      dropped,
      wantsInput: inputGradient,
      links: wanted,
    }: Pick<BlockPlan, "dropped" | "wantsInput" | "links">,
  ): PlannedBlock | null {
    const { programs, pool, session } = this.#place;
    const { keysFrom } = session.model.layers[layer]!;
    const { givesKeys } = this.#structures[layer]!;
    const isGiven = givesKeys && pass.links.hasKeys(layer);
    const variant = {
      ...({ kind: "backward", given, length: pass.bindings.T, inputGradient, dropped } as const),
      ...((givesKeys || wanted.length > 0) && {
        links: {
          wanted,
          isAdded: keysFrom !== null && wanted.includes(OTHER_KEY) && pass.links.hasKeys(keysFrom),
          isGiven,
        },
      }),
    };
    const program = blockProgram(session.model, this.#structures[layer]!, variant);
    const { spec, made } = programs.build(program);
    const dx = inputGradient ? pool.acquire(spec.outputs["dx"]!, pass.bindings) : null;
    this.#gradients.collect(this.#adapter.trained(layer), made.gradients, () => {
      const masks = made.part.dropout.map(({ mask }) => pool.acquire(mask, pass.bindings));
      const links = this.#linkGradients(spec, pass);
      programs.run(program, pass.bindings, this.#owner(layer));
      links(keysFrom);
      if (isGiven) pass.links.setKeys(pool, layer, null);
      pool.release(...masks);
    });
    return dx;
  }

  /** Lends memory for gradients that a block computes for other blocks; call the returned function when the block has run. */
  #linkGradients({ outputs }: ProgramSpec, { bindings, links }: Pass): (keysFrom: number | null) => void {
    const { pool, session } = this.#place;
    const ofKeys = [OTHER_KEY, OTHER_VALUE].map((name) => outputs[gradientName(name)]);
    const ofLayer = outputs[gradientName(LAYER_INPUT)];
    const rows = ofKeys.flatMap((output) => (output ? [pool.acquire(output, bindings)] : []));
    if (ofLayer) links.needLayers(pool, floats([session.model.numLayers, ...ofLayer.shape]), bindings);
    return (keysFrom) => {
      if (rows.length > 0 && keysFrom !== null) links.setKeys(pool, keysFrom, rows);
    };
  }
}
