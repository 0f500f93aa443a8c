/**
 * @file Fits a run into memory: chooses the settings that the user has not given, by the fastest plan that fits. If none fits, refuses
 * the run, and names the smallest changes that would.
 */
import { breathing } from "../../../data/files/breath.ts";
import { CapacityError } from "../../../errors.ts";
import { canRoundBase } from "../../../format/checkpoint/quantized-base.ts";
import { parseByteSize, showByteSize } from "../../../messages/byte-size.ts";
import { formatCount } from "../../../messages/numbers.ts";
import { kebabCase } from "../../../messages/setting-names.ts";
import { makesModel } from "../../../peft/method.ts";
import { findMethod } from "../../../peft/methods.ts";
import type { TrainOptions } from "../../settings/options.ts";
import { AUTO_MEMORY } from "../../settings/setting-groups.ts";
import {
  type Alternative,
  PLANNED_SETTINGS,
  type PlannedSetting,
  type PlannedSettings,
  changesOf,
  listAlternatives,
} from "../../plan/alternatives.ts";
import { type MemoryPlan, planMemory } from "../../plan/run-memory.ts";
import { USUAL_RATES, stepSeconds } from "../../plan/step-time.ts";
import { RECOMPUTES } from "../../recompute.ts";
import { smallestBudget } from "../../plan/resident-budget.ts";
import { budgetRequest, memoryRequest } from "./memory-request.ts";
import { HeapGrowth } from "./heap-growth.ts";
import type { OpenedRun, PreparedRun } from "./prepare.ts";
import { RunBases } from "./run-bases.ts";
import { keepsBaseFrozen, residencyOf } from "./run-choices.ts";

export interface FittedRun {
  readonly prepared: PreparedRun;
  readonly memory: MemoryPlan;
  /** Settings that were chosen, without the given ones. */
  readonly chosen: PlannedSettings;
  /** Memory that the run may take. */
  readonly limitBytes: number;
}

interface Candidate extends FittedRun, Alternative {}

/** Share of the free memory that automatic choices leave to other programs. */
const RESERVE = 0.15;
/** Share of a given memory limit that plans leave unused: they were up to 10 % below the peak (`graft bench memory-plan`). */
const UNFORESEEN = 0.08;
/** Also left unused: comparing plans leaves some 10 MB in the process, and small runs vary (docs/log.md#plans-of-memory). */
const CHOOSING_BYTES = 30e6;
/** The memory limit in which a plan of so many bytes fits. */
export function sizeToAsk(bytes: number): number {
  return (bytes + CHOOSING_BYTES) / (1 - UNFORESEEN);
}

/** Smaller relative differences of estimated times do not count: estimates are too rough. */
const SAME_TIME = 0.1;
/** Time after which progress is reported. */
const TOLD_AFTER_MS = 1000;
/** Most changes that a refusal names. */
const MAX_TOLD = 2;

/** How many of the plans to compare are done. */
export interface FitProgress {
  readonly numPlans: number;
  readonly totalPlans: number;
}

interface FitHooks {
  /** Keys of the settings that a refusal must not advise to change. */
  readonly fixed?: ReadonlySet<string> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called if the plans take more than a second: a model may have tens of thousands of experts. */
  readonly onProgress?: ((progress: FitProgress) => void) | undefined;
}

/**
 * Fits a run. Chooses only checkpointing, unless `memory` is given: then all settings except `given`, the keys of those that must not
 * change.
 * @throws CapacityError "capacity/memory"; the reason of `signal`
 */
export async function fitRun(
  opened: OpenedRun,
  given: ReadonlySet<string>,
  { fixed = new Set(), signal, onProgress }: FitHooks = {},
): Promise<FittedRun> {
  const { options } = opened;
  const { memory } = options;
  const freeBytes = process.availableMemory();
  const isOfFree = memory === undefined || memory === AUTO_MEMORY;
  const limitBytes = isOfFree ? freeBytes : (parseByteSize(memory) ?? freeBytes);
  const usable = isOfFree ? limitBytes * (1 - RESERVE) : limitBytes * (1 - UNFORESEEN) - CHOOSING_BYTES;
  const isFree = (setting: PlannedSetting): boolean => memory !== undefined && !given.has(setting);
  const beganMs = performance.now();
  const tell = (progress: FitProgress): void => {
    signal?.throwIfAborted();
    if (performance.now() - beganMs > TOLD_AFTER_MS) onProgress?.(progress);
  };
  const bases = new RunBases(opened);
  const planAll = (all: readonly Alternative[]): Promise<Candidate[]> =>
    breathing(each(all, (one) => planAlternative(bases, one, limitBytes), tell));
  const onDisk = async (all: readonly Candidate[]): Promise<Candidate[]> =>
    (await breathing(each(all, (one) => withParametersOnDisk(bases, one, usable), tell))).filter(
      (made) => made !== null,
    );
  const canRound = (kind: NonNullable<TrainOptions["base"]>): boolean =>
    keepsBaseFrozen(findMethod(options.method, opened.methods)) && canRoundBase(opened.checkpoint, kind);
  const alternatives = listAlternatives(options, isFree, canRound);
  const asked = await planAll(alternatives.slice(0, 1));
  // If only recomputation is to be chosen, nothing is faster than the first alternative, which recomputes nothing.
  if (memory === undefined && asked[0]!.memory.totalBytes <= usable) return asked[0]!;
  asked.push(...(await planAll(alternatives.slice(1))));
  const best = fastestWithin(asked, usable);
  if (best) return best;
  if (isFree("residentMemory")) {
    const fastest = fastestWithin(await onDisk(asked), usable);
    if (fastest) return fastest;
  }
  // A plan that would use the reserve is never preferred, but is allowed if nothing else fits.
  const tight = fastestWithin(asked, limitBytes);
  if (tight && isOfFree) return tight;
  const others = await planAll(listAlternatives(options, (setting) => !fixed.has(setting), canRound));
  const all = fixed.has("residentMemory") ? others : [...others, ...(await onDisk(others))];
  throw tooLarge(asked, all, isOfFree ? { limitBytes, asked: null } : { limitBytes: usable, asked: memory });
}

/** Does the work for each, one after another, and reports progress. */
function* each<T, R>(
  all: readonly T[],
  work: (one: T) => Generator<void, R, void>,
  tell: (progress: FitProgress) => void,
): Generator<void, R[], void> {
  const done: R[] = [];
  const heap = new HeapGrowth();
  for (const one of all) {
    done.push(yield* work(one));
    heap.collect();
    tell({ numPlans: done.length, totalPlans: all.length });
  }
  return done;
}

function* planAlternative(
  bases: RunBases,
  { settings, isExact }: Alternative,
  limitBytes: number,
): Generator<void, Candidate, void> {
  const { options } = bases.opened;
  const prepared = bases.settle(settings);
  const recompute = RECOMPUTES[prepared.options.gradientCheckpointing];
  const memory = yield* planMemory(memoryRequest(prepared), recompute);
  // Unless `memory` asks for a choice, the stored setting stays as given: a resumed run may choose differently, but must store the same.
  const isKept = options.memory !== undefined && !options.resume;
  const { gradientCheckpointing } = isKept ? prepared.options : options;
  const kept = { ...prepared, options: { ...prepared.options, gradientCheckpointing } };
  return { prepared: kept, memory, chosen: changesOf(options, settings), limitBytes, settings, isExact };
}

/** The same plan with parameters that wait on the disk, as many in memory as fit; null: not possible. */
function* withParametersOnDisk(
  bases: RunBases,
  candidate: Candidate,
  usable: number,
): Generator<void, Candidate | null, void> {
  const { limitBytes, isExact } = candidate;
  const { options, method } = candidate.prepared;
  const isStored = residencyOf(options) === "stored";
  const isMany = (options.dataParallel ?? 1) > 1;
  if (!isStored || isMany || !makesModel(method) || options.residentMemory !== undefined) return null;
  const plan = (budgetBytes: number): Generator<void, Candidate, void> => {
    const settings = { ...candidate.settings, residentMemory: showByteSize(budgetBytes) };
    return planAlternative(bases, { settings, isExact }, limitBytes);
  };
  const least = smallestBudget(budgetRequest(candidate.prepared)).sizeBytes;
  const room = usable - (yield* plan(least)).memory.totalBytes;
  // Whole megabytes, as sizes are written.
  return yield* plan(least + Math.max(0, Math.floor(room / 1e6) - 1) * 1e6);
}

/** Of the plans that fit and are about as fast as the fastest, finds the one with fewest changes; one with rounding only if no other fits. */
function fastestWithin(candidates: readonly Candidate[], limitBytes: number): Candidate | undefined {
  const fitting = candidates.filter(({ memory }) => memory.totalBytes <= limitBytes);
  const exact = fitting.filter(({ isExact }) => isExact);
  const timed = (exact.length > 0 ? exact : fitting).map((each) => ({
    each,
    seconds: stepSeconds(each.memory, USUAL_RATES),
  }));
  const least = Math.min(...timed.map(({ seconds }) => seconds));
  return timed
    .filter(({ seconds }) => seconds <= least * (1 + SAME_TIME))
    .toSorted((a, b) => numChanges(a.each) - numChanges(b.each) || a.seconds - b.seconds)[0]?.each;
}

function numChanges({ chosen }: Candidate): number {
  return Object.keys(chosen).length;
}

/** The limit of a run's memory. */
interface Limit {
  readonly limitBytes: number;
  /** The given size, of which a part is left unused for errors of plans; null: the free memory. */
  readonly asked: string | null;
}

/** The error of a run that does not fit, with the smallest changes that would. Sizes are those of plans, without the unused part. */
function tooLarge(
  tried: readonly Candidate[],
  others: readonly Candidate[],
  { limitBytes, asked }: Limit,
): CapacityError {
  const fitting = others
    .filter(({ memory }) => memory.totalBytes <= limitBytes)
    .toSorted((a, b) => numChanges(a) - numChanges(b) || b.memory.totalBytes - a.memory.totalBytes);
  const fewest = fitting[0] && numChanges(fitting[0]);
  const told = fitting.filter((each) => numChanges(each) === fewest).slice(0, MAX_TOLD);
  const describe = (each: Candidate): string =>
    `${describeSettings(each.chosen)} (about ${megabytes(each.memory.totalBytes)})`;
  const [least, smallest] = [leastOf(tried), leastOf(others)];
  const settings = describeSettings(smallest.chosen);
  const less = `${hasLargeAdapter(smallest) ? "fewer target modules, " : ""}a smaller max length or a smaller model`;
  const sizes = [askFor(least)];
  if (askFor(smallest) !== askFor(least)) sizes.push(`${askFor(smallest)} with ${settings}`);
  const elsewise =
    asked === null
      ? `Choose ${less}: this one needs at least about ${megabytes(smallest.memory.totalBytes)}, with ${settings || "these settings"}.`
      : `Give ${sizes.join(", ")}, or choose ${less}.`;
  const { totalBytes } = least.memory;
  const aside = asked === null ? "" : ` and ${megabytes(sizeToAsk(totalBytes) - totalBytes)} as a reserve`;
  const limit = asked === null ? `the ${megabytes(limitBytes)} that are free` : `--memory ${asked}`;
  return new CapacityError(
    "capacity/memory",
    `Cannot train with this plan: it needs about ${megabytes(totalBytes)}${aside}, expected at most ${limit}`,
    { hint: told.length > 0 ? `Give ${told.map(describe).join(", or ")}.` : elsewise },
  );
}

/** The `--memory` flag with a size in which a plan fits. */
function askFor({ memory }: Candidate): string {
  return `--memory ${Math.ceil(sizeToAsk(memory.totalBytes) / 1e6)}MB`;
}

/** Whether an adapter with its gradients and optimizer state takes much of the memory, as one on every expert does. */
function hasLargeAdapter({ memory, prepared }: Candidate): boolean {
  const { trained, gradients, optimizer } = memory.parts;
  return prepared.method.kind === "adapter" && trained + gradients + optimizer > memory.totalBytes / 4;
}

function leastOf(candidates: readonly Candidate[]): Candidate {
  return candidates.reduce((least, each) =>
    each.memory.totalBytes < least.memory.totalBytes ? each : least,
  );
}

/** Describes the memory of a run and the settings chosen for it; empty if `memory` is not given. */
export function describeFit({ prepared, memory, chosen, limitBytes }: FittedRun): string[] {
  if (prepared.options.memory === undefined) return [];
  const flags = describeSettings(chosen);
  const size = `about ${megabytes(memory.totalBytes)} of ${megabytes(limitBytes)}`;
  return [`Memory: ${size}, ${flags === "" ? "with the current settings" : `chosen ${flags}`}`];
}

/** Writes settings as flags. */
export function describeSettings(settings: PlannedSettings): string {
  return PLANNED_SETTINGS.flatMap((key) =>
    settings[key] === undefined ? [] : [`--${kebabCase(key)} ${String(settings[key])}`],
  ).join(" ");
}

function megabytes(bytes: number): string {
  return `${formatCount(Math.ceil(bytes / 1e6))} MB`;
}
