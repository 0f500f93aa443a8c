/**
 * @file The smallest memory in which parameters can be trained: the most that one piece of work needs at once.
 *
 *   backward pass of a block   its frozen tensors, its trained parameters, their gradients
 *   a reference's block        all its tensors as in the base
 *   update of a group          its parameters, a part of their gradients and a part of the optimizer's state
 *
 * The gradient of the head's matrix is in memory one slice at a time. Frozen tensors outside the blocks are always in memory, and so is
 * a base that is held as stored.
 */
import { CapacityError, UsageError } from "../../errors.ts";
import { numElements } from "../../graph/shape.ts";
import { showByteSize } from "../../messages/byte-size.ts";
import type { Model } from "../../models/model.ts";
import type { ModelTensor } from "../../models/graphs/sites.ts";
import { NO_ADAPTER } from "../../peft/adapter-view.ts";
import { groupName } from "../../peft/parameters.ts";
import { PART_ELEMENTS } from "../../runtime/memory/parted-vector.ts";
import type { ShardDtype } from "../../runtime/memory/vector-memory.ts";
import { slicedTableOf } from "../../run/head/head-graph.ts";
import { SLICE_ROWS } from "../../run/large-tables.ts";
import { alignedBytes } from "../../run/weights/block-shards.ts";
import type { Residency } from "../../run/weights/weights.ts";

/** What decides how large the budget must be. */
export interface BudgetRequest {
  readonly model: Model;
  readonly trained: readonly ModelTensor[];
  /** Whether trained parameters can wait on the disk; if not, they stay in memory outside the budget. */
  readonly waits: boolean;
  /** Whether a reference reads the base as it is. */
  readonly hasPlainPasses: boolean;
  readonly numSlots: number;
  readonly residency: Residency;
  /** Bytes of frozen tensors outside the blocks that are read whole. */
  readonly outsideBytes: number;
  /** Bytes of a base that is held as stored, mostly in few bits. */
  readonly storedBytes: number;
}

interface Need {
  readonly what: string;
  readonly sizeBytes: number;
}

/** Refuses a type for frozen shards if there are no frozen shards. @throws UsageError "usage/flag" */
export function requireFrozenShards(
  shardDtype: ShardDtype | undefined,
  { hasBudget, trainsAll }: { readonly hasBudget: boolean; readonly trainsAll: boolean },
): void {
  if (shardDtype === undefined || (hasBudget && (shardDtype === "float32" || !trainsAll))) return;
  throw new UsageError(
    "usage/flag",
    `Cannot use --shard-dtype ${shardDtype}: ${hasBudget ? "the blocks are trained, and small updates would be rounded away" : "no --resident-memory is given"}`,
    { hint: hasBudget ? "Leave --shard-dtype out." : "Give --resident-memory too." },
  );
}

/** Refuses a budget too small for some piece of work. @throws CapacityError "capacity/memory"; UsageError "usage/flag" */
export function requireResidentBudget(budgetBytes: number, request: BudgetRequest): void {
  if (request.residency === "float32") {
    throw new UsageError(
      "usage/flag",
      "Cannot keep within --resident-memory: --weights float32 or --compute keeps all frozen weights in memory, expected weights as stored",
      { hint: "Leave --weights and --compute out, or --resident-memory." },
    );
  }
  const { what, sizeBytes } = smallestBudget(request);
  if (sizeBytes <= budgetBytes) return;
  const always = [
    [request.outsideBytes, "are frozen outside the blocks"],
    [request.storedBytes, "are the base as stored"],
  ] as const;
  const told = always.flatMap(([bytes, what]) => (bytes > 0 ? [`${showByteSize(bytes)} ${what}`] : []));
  const ofThese = told.length > 0 ? `, of which ${told.join(" and ")}` : "";
  throw new CapacityError(
    "capacity/memory",
    `Cannot train within a resident memory of ${showByteSize(budgetBytes)}: ${what} needs ${showByteSize(sizeBytes)} at once${ofThese}, expected that much or less`,
    { hint: `Give --resident-memory ${showByteSize(sizeBytes)} or more.` },
  );
}

/** The tensors that a block reads. */
function tensorsOf(model: Model, layer: number): ModelTensor[] {
  return model.layers[layer]!.tensors.map(({ name }) => model.tensors.get(model.tensorName(layer, name))!);
}

/** The piece of work that needs the most memory. */
export function smallestBudget(request: BudgetRequest): Need {
  const { model, trained, waits, hasPlainPasses, numSlots } = request;
  const always = request.outsideBytes + request.storedBytes;
  const names = new Set(trained.map(({ name }) => name));
  const sliced = slicedTableOf(model, [...names], NO_ADAPTER);
  const sliceBytes = SLICE_ROWS * model.width * Float32Array.BYTES_PER_ELEMENT;
  const groupBytes = (of: number | null): number =>
    waits ? bytesOf(trained.filter(({ layer }) => layer === of)) : 0;
  const tableBytes = waits ? bytesOf(trained.filter(({ name }) => name === sliced)) : 0;
  const needs = [...model.layers.keys(), null].flatMap((layer): Need[] => {
    const group = groupBytes(layer);
    const all = layer === null ? [] : tensorsOf(model, layer);
    const frozen = shardBytes(all.filter(({ name }) => !names.has(name)));
    const state = numSlots * Math.min(group, PART_ELEMENTS * Float32Array.BYTES_PER_ELEMENT);
    const table = layer === null ? tableBytes : 0;
    const slice = Math.min(table, sliceBytes);
    // A block that reads a trained tensor outside the blocks holds the parameters and gradients of that whole group.
    const trainsOutside = all.some((tensor) => tensor.layer === null && names.has(tensor.name));
    const outside = trainsOutside ? groupBytes(null) : 0;
    const ofBlock = always + frozen + group + (group - table) + slice + 2 * outside;
    return [
      { what: groupName(layer), sizeBytes: ofBlock },
      {
        what: `the update of ${groupName(layer)}`,
        sizeBytes: always + group + Math.max(group - table, slice) + state,
      },
      ...(hasPlainPasses
        ? [{ what: `${groupName(layer)} of the base`, sizeBytes: always + shardBytes(all) }]
        : []),
    ];
  });
  return needs.reduce((largest, need) => (need.sizeBytes > largest.sizeBytes ? need : largest));
}

/** Bytes of tensors laid out side by side, each aligned. */
function shardBytes(tensors: readonly ModelTensor[]): number {
  return tensors.reduce((sum, tensor) => sum + alignedBytes(bytesOf([tensor])), 0);
}

function bytesOf(tensors: readonly ModelTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + numElements(shape) * Float32Array.BYTES_PER_ELEMENT, 0);
}
