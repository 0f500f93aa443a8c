/**
 * @file What a run will need in memory, estimated before any weight is read, and whether activations can be kept.
 *
 * The estimate counts what graft itself holds: weights as stored, matrices that stay in float32, two blocks in float32,
 * kept activations, gradients, optimizer state, and the scratch of the largest programs.
 */
import { CapacityError } from "../errors.ts";
import { attentionChunk } from "../run/block-programs.ts";
import { HEAD_CHUNK } from "../run/head.ts";
import { numElements } from "../graph/shape.ts";
import type { Model } from "../models/model.ts";
import type { Residency } from "../run/weights.ts";

/** Bytes by what they are for. */
export interface MemoryPlan {
  readonly weightsBytes: number;
  readonly stemAndHeadBytes: number;
  readonly activationsBytes: number;
  readonly trainableBytes: number;
  readonly scratchBytes: number;
  readonly totalBytes: number;
  /** Activations are computed twice instead of kept. */
  readonly recompute: boolean;
}

/** What the plan is made from. */
export interface MemoryRequest {
  readonly model: Model;
  /** Weights in memory as they are kept; those that stay in the file take none. */
  readonly storedBytes: number;
  /** How frozen weights are kept. */
  readonly weights: Residency;
  /** Tokens of one micro-batch, B·T, and of one row, T. */
  readonly batchTokens: number;
  readonly rowTokens: number;
  readonly numTrainable: number;
  /** The output head is among what is trained. */
  readonly trainsHead: boolean;
  readonly numSlots: number;
  readonly gradientCheckpointing: "auto" | "on" | "off";
  /** Parameters, gradients and optimizer state in memory at most; default, and null: all of them. */
  readonly budgetBytes?: number | null;
  /** Memory that may be used; default: what is free. */
  readonly availableBytes?: number;
}

const FLOAT_BYTES = 4;
/** Node, ONNX Runtime and the tokenizer at rest. */
const PROCESS_BYTES = 180e6;
/** Share of the free memory that automatic choices leave alone. */
const RESERVE = 0.15;
/** Logits and probabilities of one chunk of the head. */
const HEAD_ROWS = 2 * HEAD_CHUNK;
/** Matrices of the head's size that its gradient takes: product, sums, and those being added. */
const HEAD_GRADIENTS = 5;

/** Estimates a run. @throws CapacityError "capacity/memory" when it does not fit. */
export function planMemory(request: MemoryRequest): MemoryPlan {
  const { model, batchTokens, rowTokens } = request;
  const { numLayers, numOutputs, width } = model;
  const weightsOf = model.layers.map(({ tensors }) => sumOf(tensors, ({ shape }) => numElements(shape)));
  const stemAndHeadBytes =
    sumOf([...model.stem.tensors, ...model.head.tensors], ({ shape }) => numElements(shape)) * FLOAT_BYTES +
    (request.weights === "float32" ? sumOf(weightsOf, (n) => n) : 2 * Math.max(...weightsOf)) * FLOAT_BYTES;
  const headBytes = numOutputs * width * FLOAT_BYTES;
  const perToken = model.layers.map(({ sites }) => 2 * width + sumOf(sites, (site) => site.outFeatures));
  const kept = batchTokens * Math.max(...perToken) * FLOAT_BYTES;
  const inputs = batchTokens * width * FLOAT_BYTES;
  const numHeads = Math.max(...model.layers.map(({ attention }) => attention?.numHeads ?? 0));
  const trainableBytes = request.numTrainable * FLOAT_BYTES * (3 + request.numSlots);
  const scores = batchTokens * numHeads * Math.min(rowTokens, attentionChunk(rowTokens).length) * FLOAT_BYTES;
  const headGradientBytes = request.trainsHead ? HEAD_GRADIENTS * headBytes : 0;
  const scratchBytes = 3 * scores + 2 * kept + HEAD_ROWS * numOutputs * FLOAT_BYTES + headGradientBytes;
  const available = request.availableBytes ?? process.availableMemory();
  const total = (activations: number): number =>
    PROCESS_BYTES +
    request.storedBytes +
    Math.min(stemAndHeadBytes + trainableBytes, request.budgetBytes ?? Infinity) +
    activations +
    scratchBytes;
  const [keepAll, keepInputs] = [sumOf(perToken, (n) => n) * batchTokens * FLOAT_BYTES, numLayers * inputs];
  const fits = total(keepAll) <= available * (1 - RESERVE);
  const recompute =
    request.gradientCheckpointing === "on" || (request.gradientCheckpointing === "auto" && !fits);
  const activationsBytes = recompute ? keepInputs : keepAll;
  const totalBytes = total(activationsBytes);
  if (totalBytes > available) {
    throw new CapacityError(
      "capacity/memory",
      `Cannot train with this plan: it needs about ${megabytes(totalBytes)}, ${megabytes(available)} is free`,
      {
        hint: recompute
          ? "Choose a smaller batch size or max length."
          : "Turn gradient checkpointing on, or choose a smaller batch size or max length.",
      },
    );
  }
  const weightsBytes = request.storedBytes;
  return {
    weightsBytes,
    stemAndHeadBytes,
    activationsBytes,
    trainableBytes,
    scratchBytes,
    totalBytes,
    recompute,
  };
}

function sumOf<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString("en")} MB`;
}
