/**
 * @file Passes over a model as in `train/step/step-runner` and `train/dropbp/measure-branches`, with sizes in the place of numbers: what
 * they lend, and what their programs need.
 */
import type { AdapterView } from "../../../peft/adapter-view.ts";
import type { Parameter } from "../../../peft/parameters.ts";
import type { BlockPlan } from "../../../run/blocks/backward-plan.ts";
import type { ActivationForm } from "../../activations/keeping.ts";
import { type Recompute, savesOf } from "../../recompute.ts";
import { PlannedBlocks } from "./planned-blocks.ts";
import { PlannedEmbedding } from "./planned-embedding.ts";
import { PlannedGradients } from "./planned-gradients.ts";
import { PlannedHead } from "./planned-head.ts";
import { PlannedKept } from "./planned-kept.ts";
import { type Pass, type PassPlace, type PassShape, beginPass } from "./planned-place.ts";
import type { PlannedLinks } from "./planned-links.ts";
import type { PlannedBlock } from "./planned-pool.ts";

/** How activations are kept between the two passes. */
export interface Keeping {
  readonly recompute: Recompute;
  readonly activations: ActivationForm;
}

export class PlannedPass {
  readonly #place: PassPlace;
  readonly #adapter: AdapterView;
  readonly #embedding: PlannedEmbedding;
  readonly #blocks: PlannedBlocks;
  readonly #gradients: PlannedGradients;
  readonly #head: PlannedHead;

  /** `training`: dropout is drawn. */
  constructor(place: PassPlace, adapter: AdapterView, { training }: { readonly training: boolean }) {
    this.#place = place;
    this.#adapter = adapter;
    this.#gradients = new PlannedGradients(place.pool);
    this.#embedding = new PlannedEmbedding(place, adapter, this.#gradients);
    this.#blocks = new PlannedBlocks(place, adapter, this.#gradients, { training });
    this.#head = new PlannedHead(place, adapter, this.#gradients, { training });
  }

  /** Parameters that have had a gradient in any step. */
  get reached(): ReadonlySet<Parameter> {
    return this.#gradients.reached;
  }

  /** Begins a step: no gradient has been written. */
  beginStep(): void {
    this.#gradients.begin();
  }

  /** Log-probabilities of labels, without gradients; with predictions, their logits too. */
  score(shape: PassShape, { predicts }: { readonly predicts: boolean } = { predicts: false }): void {
    const pass = beginPass(shape);
    let x = this.#embedding.forward(pass);
    for (let layer = 0; layer < this.#blocks.count; layer++) {
      const { y } = this.#blocks.forward(layer, pass, "nothing", []);
      this.#place.pool.release(x);
      x = y;
    }
    this.#head.logProbs(shape.numLabels);
    if (predicts) this.#head.predict(shape.numLabels);
    this.#place.pool.release(x, ...pass.made.values());
  }

  /** Gradients of a micro-batch. `dropped`: branches without a backward pass, by block. */
  accumulate(shape: PassShape, keeping: Keeping, dropped: readonly (readonly string[])[]): void {
    this.#turnAround(shape, keeping, dropped, (turn) => this.#runBackward(turn));
  }

  /** Sensitivities of all branches on a micro-batch, as in `train/dropbp/measure-branches`. */
  measureBranches(shape: PassShape, keeping: Keeping): void {
    this.#turnAround(shape, keeping, [], (turn) => this.#runEachWay(turn));
  }

  #turnAround(
    shape: PassShape,
    { recompute, activations }: Keeping,
    dropped: readonly (readonly string[])[],
    runBackward: (turn: Turn) => void,
  ): void {
    const { pool } = this.#place;
    const pass = beginPass(shape);
    const trainsStem = this.#embedding.trains();
    const { blocks, stopsAtHead } = this.#blocks.plan({ dropped, trainsStem });
    if (stopsAtHead && this.#adapter.trained(null).length === 0) return this.score(shape);
    const kept = new PlannedKept(pool, activations);
    let x = this.#embedding.forward(pass);
    const given: string[][] = [];
    for (const [layer, block] of blocks.entries()) {
      const saves = block.runs ? savesOf(recompute) : "nothing";
      const { y, saved } = this.#blocks.forward(layer, pass, saves, block.dropped);
      given.push(Object.keys(saved));
      if (block.runs) kept.keep([...Object.values(saved), x]);
      else pool.release(x);
      x = y;
    }
    const dy = this.#head.gradient(shape.numLabels, pass.bindings);
    runBackward({ ...pass, ...shape, kept, blocks, given, trainsStem, x, dy });
    pass.links.release(pool);
    pool.release(...pass.made.values());
  }

  #runBackward(turn: Turn): void {
    const { pool } = this.#place;
    pool.release(turn.x);
    let { dy } = turn;
    for (const [layer, block] of [...turn.blocks.entries()].reverse()) {
      if (!block.runs) continue;
      const brought = turn.kept.bringBack();
      const dx = this.#backward(layer, turn, block);
      pool.release(dy, ...brought);
      if (!dx) return;
      dy = dx;
    }
    if (turn.trainsStem) this.#embedding.backward(turn);
    pool.release(dy);
  }

  #backward(layer: number, turn: Turn, block: BlockPlan): PlannedBlock | null {
    return this.#blocks.backward(layer, turn, turn.given[layer] ?? [], block);
  }

  /** Runs backward once with all branches and once without each of them. */
  #runEachWay(turn: Turn): void {
    const { pool, session } = this.#place;
    let ways: readonly Way[] = [{ dy: turn.dy, links: turn.links }];
    for (const [layer, block] of [...turn.blocks.entries()].reverse()) {
      if (!block.runs) continue;
      const brought = turn.kept.bringBack();
      const [whole, ...parted] = ways as [Way, ...Way[]];
      const own = (session.model.layers[layer]?.branches ?? []).map(({ name }) => ({
        dropped: [name],
        links: whole.links.fork(pool),
      }));
      const below: Way[] = [];
      const goOn = (dx: PlannedBlock | null, { links }: Pick<Way, "links">): void => {
        if (dx) below.push({ dy: dx, links });
        else links.release(pool);
      };
      for (const { dropped, links } of [{ dropped: [], links: whole.links }, ...own]) {
        const byBlock = turn.blocks.map((_, each) => (each === layer ? dropped : []));
        const { trainsStem } = turn;
        const { runs } = this.#blocks.plan({ dropped: byBlock, trainsStem }).blocks[layer]!;
        const copy = !runs && block.wantsInput ? pool.lend(whole.dy.lentBytes) : null;
        this.#gradients.begin();
        goOn(runs ? this.#backward(layer, { ...turn, links }, { ...block, dropped }) : copy, { links });
      }
      pool.release(whole.dy);
      for (const way of parted) {
        this.#gradients.begin();
        const dx = this.#backward(layer, { ...turn, links: way.links }, block);
        pool.release(way.dy);
        goOn(dx, way);
      }
      pool.release(...brought);
      ways = below;
    }
    for (const { dy, links } of ways) {
      this.#gradients.begin();
      if (turn.trainsStem) {
        pool.release(this.#head.gradient(turn.numLabels, turn.bindings));
        this.#embedding.backward({ ...turn, links });
      }
      pool.release(dy);
      links.release(pool);
    }
    pool.release(turn.x);
  }
}

/** A backward pass in progress. */
interface Way {
  readonly dy: PlannedBlock;
  readonly links: PlannedLinks;
}

/** A pass whose blocks have run forward and whose head has run backward. */
interface Turn extends Pass, PassShape {
  readonly kept: PlannedKept;
  readonly blocks: readonly BlockPlan[];
  /** Names of what each block saved. */
  readonly given: readonly (readonly string[])[];
  readonly trainsStem: boolean;
  readonly x: PlannedBlock;
  readonly dy: PlannedBlock;
}
