/**
 * @file Computes how much memory a run needs, from its settings and the lengths of its data, before any weight is read.
 *
 * It builds the graphs of all programs and walks through the passes with sizes in the place of numbers, so the count of what is saved,
 * lent and trained is exact. Two parts are estimates: what ONNX Runtime needs inside a program, from the values alive at a time, and the
 * memory of an idle process.
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

/** Bytes by purpose. */
export interface MemoryParts {
  /** Frozen weights: as stored, and as programs read them. */
  readonly weights: number;
  /** Trained parameters, and the method's own frozen tensors. */
  readonly trained: number;
  readonly gradients: number;
  readonly optimizer: number;
  /** Memory lent by passes: kept activations, streams, masks, gradients that are added or compared. */
  readonly activations: number;
  /** Memory inside programs. */
  readonly scratch: number;
  /** Memory for writing samples between steps; 0: none are written. */
  readonly samples: number;
  /** A process that has read its data and nothing else. */
  readonly process: number;
}

/** Everything that decides how much memory a run needs. */
export interface MemoryRequest extends PassesRequest {
  readonly kept: KeptAs;
  /** Bytes of weights that are held as stored. */
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
  /** Memory budget of frozen weights, and of trained parameters if these can wait on the disk; null: everything is in memory. */
  readonly budgetBytes: number | null;
  /** New tokens of a sample; null: none are written. */
  readonly sampleTokens: number | null;
}

/** Node, ONNX Runtime, and garbage that V8 collects late: docs/log.md#plans-of-memory. */
const PROCESS_BYTES = 170e6;
/** Memory that the C library keeps after the float32 session that measured factors. */
const FACTORS_BYTES = 15e6;
/** Id and weight of a token of the data. */
const TOKEN_BYTES = 8;
/** The writer of samples, without its programs and cache: docs/log.md#plans-of-memory. */
const WRITER_BYTES = 15e6;

/** The memory of a run, and the work of a step. */
export interface MemoryPlan {
  readonly parts: MemoryParts;
  readonly totalBytes: number;
  readonly stepWork: Work;
  /** Bytes of weights that a step reads and prepares for programs; 0 if they are held ready. */
  readonly stepReadBytes: number;
  readonly recompute: Recompute;
}

/** Plans a run that recomputes or keeps activations; yields between passes. */
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

/** Bytes of the gradients that DropBP keeps for comparison: the most of any block, or of the tensors outside. */
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
  // The writer has a tokenizer of its own, beside that of the data.
  const wordBytes = tokenizerBytes(tokenizerFiles, model.vocabSize);
  return WRITER_BYTES + wordBytes + nodeBytes(numNodes) + cacheBytes;
}

function processBytes({ model, compute, numTokens, tokenizerFiles }: MemoryRequest): number {
  const factors = compute.smoothing ? FACTORS_BYTES : 0;
  return PROCESS_BYTES + factors + TOKEN_BYTES * numTokens + tokenizerBytes(tokenizerFiles, model.vocabSize);
}

/** The parts of the memory that hold weights and trained parameters. */
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
  // As many blocks stay in memory as fit the budget.
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
