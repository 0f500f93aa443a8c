/**
 * @file What a run needs in memory, from its settings and the lengths of its data, before any weight is read.
 *
 * The graphs of all its programs are built and its passes walked through with sizes in the place of numbers, so what is
 * saved, lent and trained is counted as it will be. Estimated is what ONNX Runtime needs inside a program, from the values
 * that live there at a time, and what a process takes that has done nothing yet.
 */
import { FLOAT_BYTES } from "../../graph/dtype.ts";
import type { TokenizerFiles } from "../../format/checkpoint/checkpoint.ts";
import type { Work } from "../../graph/program-work.ts";
import { numElements } from "../../graph/shape.ts";
import type { Compute } from "../../nn/compute.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import type { KeptAs } from "../../peft/layout.ts";
import type { Preview } from "../../peft/preview.ts";
import { type Method, makesModel } from "../../peft/method.ts";
import type { Parameter } from "../../peft/parameters.ts";
import type { Residency } from "../../run/weights/weights.ts";
import { measuredIn } from "../dropbp/branch-dropper.ts";
import type { Recompute } from "../recompute.ts";
import { type PlannedSession, plannedSession } from "./passes/planned-session.ts";
import { type PassesRequest, type PlannedPasses, readersOf, walkPasses } from "./run-passes.ts";
import { nodeBytes } from "./node-memory.ts";
import { sampleNeeds } from "./sample-memory.ts";
import { tokenizerBytes } from "./tokenizer-memory.ts";
import { blockBytes, outerBytes } from "./weight-memory.ts";

/** Bytes by what they are for. */
export interface MemoryParts {
  /** Frozen weights: as stored, and as programs read them. */
  readonly weights: number;
  /** Parameters, and what the method holds frozen beside the base. */
  readonly trained: number;
  readonly gradients: number;
  readonly optimizer: number;
  /** What passes lend: kept activations, streams, masks, gradients that are added or compared. */
  readonly activations: number;
  /** What programs need of their own. */
  readonly scratch: number;
  /** What texts need that are written between steps; 0: none are. */
  readonly samples: number;
  /** A process that has read its data and nothing else. */
  readonly process: number;
}

/** All that decides what a run needs. */
export interface MemoryRequest extends PassesRequest {
  readonly kept: KeptAs;
  /** Bytes of stored weights that are held as they are kept. */
  readonly storedBytes: number;
  readonly residency: Residency;
  readonly compute: Compute;
  /** Queries that attention processes at once; null: by the length of the rows. */
  readonly attentionChunk: number | null;
  readonly method: Method;
  readonly outline: AdapterView;
  readonly preview: Preview;
  readonly numSlots: number;
  readonly numTokens: number;
  readonly tokenizerFiles: TokenizerFiles | null;
  /** Bytes in memory of frozen weights, and of what is trained where that can wait on the disk; null: all is in memory. */
  readonly budgetBytes: number | null;
  /** New tokens of a sample; null: none are written. */
  readonly sampleTokens: number | null;
}

/** Node, ONNX Runtime, and what V8 collects late: docs/log.md#plans-of-memory. */
const PROCESS_BYTES = 170e6;
/** Memory that the C library keeps after the float32 session that measured factors. */
const FACTORS_BYTES = 15e6;
/** Ids and weights of a token of the data. */
const TOKEN_BYTES = 8;
/** What writes texts, but for its programs and what these keep: docs/log.md#plans-of-memory. */
const WRITER_BYTES = 15e6;

/** What a run needs, and what a step of it computes. */
export interface MemoryPlan {
  readonly parts: MemoryParts;
  readonly totalBytes: number;
  readonly stepWork: Work;
  /** Weights that a step reads and makes ready for programs; 0 where they are held. */
  readonly stepReadBytes: number;
  readonly recompute: Recompute;
}

/** Plans a run that computes activations again, or keeps them; stops between passes. */
export function* planMemory(request: MemoryRequest, recompute: Recompute): Generator<void, MemoryPlan, void> {
  const { residency, outline: adapter } = request;
  const session = plannedSession(request);
  const passes = yield* walkPasses(request, session, adapter, recompute);
  const { programs, lentBytes, scratchBytes, stepWork, stepWalks } = passes;
  const parts = {
    ...parameterParts(request, session, adapter, passes),
    activations: lentBytes + comparedBytes(request, adapter),
    scratch: scratchBytes + nodeBytes(programs.numNodes) + programs.packedBytes,
    samples: sampleBytes(request, { session, programs }, adapter),
    process: processBytes(request),
  };
  const walkBytes = residency === "float32" ? 0 : blockBytes(session, adapter, "float32");
  return {
    parts,
    totalBytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0),
    stepWork,
    stepReadBytes: walkBytes * stepWalks,
    recompute,
  };
}

/** Gradients of a block, or of what is outside of them, that DropBP keeps to compare others with. */
function comparedBytes({ dropBp, model, totalSteps }: MemoryRequest, adapter: AdapterView): number {
  if (dropBp === null || measuredIn(dropBp, totalSteps)?.keepsAll !== true) return 0;
  const groups = [...model.layers.keys(), null].map((layer) =>
    adapter.trained(layer).reduce((sum, { shape }) => sum + numElements(shape), 0),
  );
  return FLOAT_BYTES * Math.max(...groups);
}

function sampleBytes(
  { sampleTokens, model, tokenizerFiles }: MemoryRequest,
  place: Parameters<typeof sampleNeeds>[0],
  adapter: AdapterView,
): number {
  if (sampleTokens === null) return 0;
  const { numNodes, cacheBytes } = sampleNeeds(place, adapter, sampleTokens);
  // Its tokenizer is another than that of the data.
  const wordBytes = tokenizerBytes(tokenizerFiles, model.vocabSize);
  return WRITER_BYTES + wordBytes + nodeBytes(numNodes) + cacheBytes;
}

function processBytes({ model, compute, numTokens, tokenizerFiles }: MemoryRequest): number {
  const factors = compute.smoothing ? FACTORS_BYTES : 0;
  return PROCESS_BYTES + factors + TOKEN_BYTES * numTokens + tokenizerBytes(tokenizerFiles, model.vocabSize);
}

/** What is read of weights and trained of them. */
function parameterParts(
  request: MemoryRequest,
  session: PlannedSession,
  adapter: AdapterView,
  { moved, measured }: Pick<PlannedPasses, "moved" | "measured">,
): Pick<MemoryParts, "weights" | "trained" | "gradients" | "optimizer"> {
  const { storedBytes, method, preview, numSlots, numLanes, budgetBytes, residency } = request;
  const trained = preview.numTrained * FLOAT_BYTES;
  const readers = readersOf(request, adapter);
  const outer = Math.max(...readers.map((reader) => outerBytes(session, reader)));
  const blocks = (held: Residency): number =>
    Math.max(...readers.map((reader) => blockBytes(session, reader, held)));
  const ofTraining = {
    trained: trained + preview.frozenBytes,
    gradients: bytesOf(new Set([...moved, ...measured])) + (numLanes - 1) * bytesOf(moved),
    optimizer: numSlots * bytesOf(moved),
  };
  if (budgetBytes === null) {
    return { weights: storedBytes + outer + blocks(residency), ...ofTraining };
  }
  // As many blocks stay as there is room for.
  const weights = storedBytes + outer + blocks("float32");
  if (!makesModel(method)) return { weights: Math.min(weights, budgetBytes), ...ofTraining };
  return {
    weights: Math.min(weights + (2 + numSlots) * trained, budgetBytes),
    trained: preview.frozenBytes,
    gradients: 0,
    optimizer: 0,
  };
}

function bytesOf(parameters: ReadonlySet<Parameter>): number {
  return FLOAT_BYTES * [...parameters].reduce((sum, { shape }) => sum + numElements(shape), 0);
}
