/** @file Walks through the passes of a run in order, with sizes in the place of numbers. */
import type { TrainingUnit } from "../../data/examples/training-unit.ts";
import type { StepPlan } from "../../data/batches/order.ts";
import type { Target } from "../../graph/emitter.ts";
import { NO_WORK, type Work, addWork, scaleWork } from "../../graph/program-work.ts";
import type { Model } from "../../models/model.ts";
import { type AdapterView, NO_ADAPTER } from "../../peft/adapter-view.ts";
import type { Parameter } from "../../peft/parameters.ts";
import { type DropPlan, measuredAfter, measuredIn } from "../dropbp/branch-dropper.ts";
import { branchesOf, droppedByBlock } from "../dropbp/branch-list.ts";
import { drawBranches } from "../dropbp/draw-branches.ts";
import type { Objective } from "../objective.ts";
import type { Recompute } from "../recompute.ts";
import type { PlannedSession } from "./passes/planned-session.ts";
import { type Keeping, PlannedPass } from "./passes/planned-pass.ts";
import type { PassPlace, PassShape } from "./passes/planned-place.ts";
import { PlannedPool } from "./passes/planned-pool.ts";
import { PlannedPrograms } from "./passes/planned-programs.ts";
import type { ActivationForm } from "../activations/keeping.ts";
import { type CountedShape, evaluationShapes, microBatchShape, stepShapes, tokensOf } from "./run-shapes.ts";

/** What decides the passes of a run. */
export interface PassesRequest {
  readonly model: Model;
  readonly objective: Objective;
  /** Whether the run starts from an adapter, with which objectives then compare. */
  readonly startsFromAdapter: boolean;
  readonly dropBp: DropPlan | null;
  readonly plan: StepPlan<TrainingUnit>;
  readonly totalSteps: number;
  /** Micro-batches that run at once. */
  readonly numLanes: number;
  readonly packing: boolean;
  readonly heldOut: readonly TrainingUnit[] | null;
  /** Whether evaluations compute logits for predictions. */
  readonly predicts: boolean;
  readonly seed: number;
  readonly activations: ActivationForm;
  readonly target: Target;
}

/** What decides which reference there is, if any. */
type ReferenceRequest = Pick<PassesRequest, "objective" | "startsFromAdapter">;

/** The reference of an objective: the base with the initial adapter, or without any; null: none. */
function referenceOf(
  { objective, startsFromAdapter }: ReferenceRequest,
  adapter: AdapterView,
): AdapterView | null {
  if (!objective.needs.includes("reference")) return null;
  return startsFromAdapter ? adapter : NO_ADAPTER;
}

/** The models whose passes read weights: with the adapter, and the base without it if that is the reference. */
export function readersOf(request: ReferenceRequest, adapter: AdapterView): readonly AdapterView[] {
  return referenceOf(request, adapter) === NO_ADAPTER ? [adapter, NO_ADAPTER] : [adapter];
}

/** Micro-batches for which branches are drawn: fewer missed some programs of a run; more than 64 found no others. */
const DRAWN_PASSES = 64;

/** The memory and work of the passes of a run. */
export interface PlannedPasses {
  /** Memory that they lend from the pool. */
  readonly lentBytes: number;
  /** Memory inside programs while they run. */
  readonly scratchBytes: number;
  readonly programs: PlannedPrograms;
  /** Parameters with a gradient in some step (`moved`), or in the pass that measures branches (`measured`). */
  readonly moved: ReadonlySet<Parameter>;
  readonly measured: ReadonlySet<Parameter>;
  /** Average work of a step. */
  readonly stepWork: Work;
  /** How often a step reads the weights of all blocks, on average. */
  readonly stepWalks: number;
}

/** Walks through an evaluation and steps of every size; yields between passes. */
export function* walkPasses(
  request: PassesRequest,
  session: PlannedSession,
  adapter: AdapterView,
  recompute: Recompute,
): Generator<void, PlannedPasses, void> {
  const { objective, heldOut, plan, activations, numLanes } = request;
  const programs = new PlannedPrograms(request.target);
  // `alone`: evaluations and measurements, which run only on the first lane; `inLanes`: steps, which run on each lane.
  const alone = { session, pool: new PlannedPool(), programs };
  const inLanes = numLanes === 1 ? alone : { ...alone, pool: new PlannedPool() };
  const scorer = new PlannedPass(alone, adapter, { training: false });
  const compared = referenceOf(request, adapter);
  const referenceIn = (place: PassPlace): PlannedPass | null =>
    compared === null ? null : new PlannedPass(place, compared, { training: false });
  const ofScores = referenceIn(alone);
  const score = (shape: PassShape, { predicts }: { readonly predicts: boolean }): void => {
    scorer.score(shape, { predicts });
    ofScores?.score(shape);
  };
  for (const shape of heldOut ? evaluationShapes(heldOut) : []) {
    score(shape, request);
    yield;
  }
  const keeping = { recompute, activations };
  const measuring = new PlannedPass(alone, adapter, { training: true });
  measureOnce(request, measuring, keeping);
  const aloneBytes = programs.takeScratch();
  const steps = new PlannedPass(inLanes, adapter, { training: true });
  const reference = referenceIn(inLanes);
  const { shapes, meanTokens, meanMicroBatches } = stepShapes(plan, request.totalSteps, request.packing);
  const hasMismatched = objective.needs.includes("mismatched");
  // Discards the work so far, which belongs to no step.
  programs.takeWork();
  const { work, moved } = yield* walkSteps(request, shapes, {
    steps,
    programs,
    runMicroBatch: (shape, dropped) => {
      if (hasMismatched) score(shape, { predicts: false });
      reference?.score(shape);
      if (!objective.isSeparable) steps.score(shape);
      steps.accumulate(shape, keeping, dropped);
    },
  });
  const tokens = shapes.reduce((sum, shape) => sum + tokensOf(shape) * shape.count, 0);
  const passes = 2 + Number(reference !== null) + Number(!objective.isSeparable) + 2 * Number(hasMismatched);
  const laneBytes = inLanes.pool.residentBytes;
  return {
    programs,
    // One lane reuses the blocks of the passes that run alone.
    lentBytes: Math.max(alone.pool.residentBytes, laneBytes) + (numLanes - 1) * laneBytes,
    scratchBytes: Math.max(aloneBytes, numLanes * programs.takeScratch()),
    moved,
    measured: measuring.reached,
    stepWork: scaleWork(work, meanTokens / tokens),
    stepWalks: passes * meanMicroBatches,
  };
}

/** Runs the micro-batches of a step; `dropped`: branches that the backward pass leaves out, by block. */
interface StepWalk {
  readonly steps: PlannedPass;
  readonly programs: PlannedPrograms;
  readonly runMicroBatch: (shape: PassShape, dropped: readonly (readonly string[])[]) => void;
}

/**
 * Walks through steps of every size, with each draw of dropped branches. Returns the work of all micro-batches of `shapes`, each as often
 * as it occurs, and the parameters with a gradient in any of them.
 */
function* walkSteps(
  request: PassesRequest,
  shapes: readonly CountedShape[],
  { steps, programs, runMicroBatch }: StepWalk,
): Generator<void, { readonly work: Work; readonly moved: ReadonlySet<Parameter> }, void> {
  const numMicroBatches = request.plan.microBatches(0).length;
  // Two are enough: gradients of a second micro-batch need memory beside those of the first, further ones reuse it.
  const numMicro = Math.min(2, numMicroBatches);
  const numPasses = request.totalSteps * numMicroBatches;
  const works = new Map(shapes.map((shape) => [shape, { work: NO_WORK, numMicroBatches: 0 }]));
  let moved: ReadonlySet<Parameter> = steps.reached;
  for (const [i, dropped] of droppedBranches(request, numPasses).entries()) {
    if (i === numPasses) moved = new Set(steps.reached);
    for (const shape of i === 0 ? shapes : shapesOfDraw(i, shapes)) {
      steps.beginStep();
      for (let micro = 0; micro < numMicro; micro++) {
        runMicroBatch(shape, dropped);
        yield;
      }
      const known = works.get(shape)!;
      known.work = addWork(known.work, programs.takeWork());
      known.numMicroBatches += numMicro;
    }
  }
  const work = [...works].reduce(
    (sum, [{ count }, known]) => addWork(sum, scaleWork(known.work, count / known.numMicroBatches)),
    NO_WORK,
  );
  return { work, moved };
}

/** Sizes to walk through with the i-th draw: the largest, which decides the peak, and another in rotation. */
function shapesOfDraw<S extends PassShape>(i: number, shapes: readonly S[]): readonly S[] {
  const largest = shapes.reduce((most, shape) => (tokensOf(shape) > tokensOf(most) ? shape : most));
  return [...new Set([largest, shapes[i % shapes.length]!])];
}

/** Walks through the one pass of a run with DropBP that measures sensitivities. */
function measureOnce(
  { dropBp, plan, totalSteps, packing }: PassesRequest,
  measuring: PlannedPass,
  keeping: Keeping,
): void {
  if (dropBp === null || measuredIn(dropBp, totalSteps) === null) return;
  const [first = []] = plan.microBatches(measuredAfter(totalSteps));
  measuring.beginStep();
  measuring.measureBranches(microBatchShape(first, packing), keeping);
}

/**
 * Branches that micro-batches leave out of the backward pass, by block: of the first ones of `numPasses`. If rates will be measured, the
 * draws cannot be known, so DRAWN_PASSES are drawn with equal rates however short the run is: it may meet any of these.
 */
function droppedBranches(
  { dropBp, model, plan, seed, totalSteps }: PassesRequest,
  numPasses: number,
): (readonly (readonly string[])[])[] {
  if (dropBp === null) return [model.layers.map((): string[] => [])];
  const branches = branchesOf(model, dropBp.length);
  const rates = branches.map(() => dropBp.rate);
  const isKnown = measuredIn(dropBp, totalSteps) === null;
  const numMicro = plan.microBatches(0).length;
  return Array.from({ length: isKnown ? Math.min(DRAWN_PASSES, numPasses) : DRAWN_PASSES }, (_, i) => {
    const key = { step: Math.floor(i / numMicro), micro: i % numMicro };
    const isDropped = drawBranches(rates, dropBp.rate, seed, key);
    return droppedByBlock(model, branches, (branch) => isDropped[branch] === true);
  });
}
