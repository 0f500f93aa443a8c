/**
 * @file Combines adapters that were read without their model: site by site, then the tensors of the base that they train.
 *
 * Nothing here is specific to a method; a method defines how its tensors represent a change.
 */
import { UsageError } from "../../errors.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { CombineOptions } from "./combinations.ts";
import { type StartCosine, leastCosine } from "./cosine.ts";
import type { Algebra, ChangeForm, SiteState, VectorAlgebra } from "./contract.ts";
import type { Sum } from "./expression.ts";
import { averageByFisher, refuseFisher } from "./fisher.ts";
import type { SiteTensors } from "../sites/site.ts";
import { type AdapterWeights, type Plan, type StartOf, algebraOf, toPlan } from "./plan.ts";
import type { Truncation } from "./truncate.ts";
import { weightedSum } from "./mixing.ts";
import { multiplySite } from "./product.ts";
import { refuseAdaptedWhole, refuseCut, refuseProduct, refuseUnlike, refuseUnlikeSites } from "./refusals.ts";

type Tensor = HostTensor<"float32">;

/** What was cut off by a lower rank, as a share of the Frobenius norm. */
export interface Residual {
  /** The share of all sites together. */
  readonly total: number;
  /** The site that lost most. */
  readonly worst: { readonly path: string; readonly residual: number };
}

export interface Combined extends AdapterWeights {
  /** Null when nothing was cut off. */
  readonly residual: Residual | null;
  /** The two adapters whose A's differ most; null where no factors of several adapters are mixed. */
  readonly startCosine: StartCosine | null;
}

interface CombineHooks {
  /** Reads tensors of the base; null: the base is not available. */
  readonly startOf: StartOf | null;
  /** Called before each site; may yield the thread, and throws to stop. */
  readonly beforeSite?: () => Promise<void>;
}

/**
 * Combines adapters; the result owns its tensors, except frozen ones.
 * @throws UsageError "usage/combine" when the adapters do not fit each other, or not the way of combining.
 */
export async function combineWeights(
  sum: Sum,
  adapters: ReadonlyMap<string, AdapterWeights>,
  options: CombineOptions,
  { startOf, beforeSite }: CombineHooks,
): Promise<Combined> {
  const plan = toPlan(sum, adapters, options, startOf);
  const { members, combination } = plan;
  refuseUnlike(members, combination);
  refuseAdaptedWhole(members);
  const { method, frozen } = members[0]!.adapter;
  const algebra = algebraOf(method);
  refuseCut(members, algebra, combination);
  if (combination.byFisher) refuseFisher(members, algebra);
  if (combination.multiplies) refuseProduct(members, algebra);

  const cuts = new Map<string, Truncation>();
  const paths = [...new Set(members.flatMap(({ adapter }) => [...adapter.sites.keys()]))];
  const sites = new Map<string, SiteState<unknown>>();
  for (const [position, path] of paths.entries()) {
    await beforeSite?.();
    const here = members.filter(({ adapter }) => adapter.sites.has(path));
    refuseUnlikeSites(path, here, algebra, combination);
    const { state, cut } = await combineSite(path, { ...plan, members: here }, algebra, position);
    sites.set(path, state);
    if (cut) cuts.set(path, cut);
  }
  const terms = members.map(({ adapter }) => adapter.options) as [unknown, ...unknown[]];
  return {
    method,
    options: algebra.optionsOf(new Map([...sites].map(([path, state]) => [path, state.options])), terms),
    sites,
    base: await combineBase(plan, paths.length),
    frozen,
    storedTransposed: members.some(({ adapter }) => adapter.storedTransposed),
    fisher: null,
    residual: cuts.size === 0 ? null : toResidual(cuts),
    startCosine:
      algebra.kind === "factors" && combination.mixesFactors ? leastCosine(members, algebra) : null,
  };
}

async function combineSite(
  path: string,
  plan: Plan,
  algebra: Algebra<unknown, unknown>,
  position: number,
): Promise<{ state: SiteState<unknown>; cut: Truncation | null }> {
  const states = plan.members.map(({ adapter }) => adapter.sites.get(path)!);
  const like = states[0]!;
  const { byFisher } = plan.combination;
  if (algebra.kind === "factors" && !byFisher) {
    const terms = plan.members.map(({ weight, coefficient }, i) => {
      return { weight, coefficient, of: algebra.split(states[i]!) };
    });
    const { pair, cut } = plan.combination.factors(terms, plan.options, position);
    return { state: algebra.join(pair, like), cut };
  }
  if (plan.combination.multiplies && algebra.kind === "vectors" && algebra.product !== "none") {
    const named = new Map(plan.members.map(({ name }, i) => [name, states[i]!]));
    return { state: multiplySite(path, plan.sum, named, algebra.product)!, cut: null };
  }
  if (algebra.kind === "vectors" && !byFisher) {
    const tensors = changeVectors(plan, states, algebra, position);
    return { state: { tensors, options: like.options }, cut: null };
  }
  const tensors: Record<string, Tensor> = {};
  for (const [which, suffix] of Object.keys(like.tensors).entries()) {
    const own = states.map((state) => state.tensors[suffix] as Tensor);
    tensors[suffix] = await combineFromStart(`${path}.${suffix}`, plan, own, [position, which]);
  }
  return { state: { tensors, options: like.options }, cut: null };
}

function signedWeights({ members }: Plan): number[] {
  return members.map(({ coefficient }) => coefficient.signed);
}

function changeVectors(
  plan: Plan,
  states: readonly SiteState<unknown>[],
  algebra: VectorAlgebra<unknown>,
  position: number,
): SiteTensors {
  if (plan.combination.sumsParameters) return sumParameters(plan, states);
  return sumChanges(plan, states, algebra, position);
}

function sumParameters(plan: Plan, states: readonly SiteState<unknown>[]): SiteTensors {
  const weights = signedWeights(plan);
  return Object.fromEntries(
    Object.entries(states[0]?.tensors ?? {}).map(([suffix, { shape }]) => {
      const values = states.map(({ tensors }) => tensors[suffix]!.data);
      return [suffix, hostTensor("float32", shape, Float32Array.from(weightedSum(values, weights)))];
    }),
  );
}

function sumChanges(
  plan: Plan,
  states: readonly SiteState<unknown>[],
  form: ChangeForm<unknown>,
  position: number,
): SiteTensors {
  const changes = states.map((state) => form.toChange(state));
  const mix = plan.combination.mix(plan.options);
  const change = Object.fromEntries(
    Object.keys(changes[0] ?? {}).map((key, which) => {
      const values = changes.map((own) => own[key]!);
      return [key, mix(values, signedWeights(plan), [position, which])];
    }),
  );
  return form.fromChange(change, states[0]!);
}

/**
 * Computes θ₀ + Σ w (θ − θ₀), which does not need θ₀ when the weights sum to 1, or an average by Fisher information, in a new
 * tensor. `tensors`: one for each member.
 * @throws UsageError "usage/combine" when θ₀ is needed and not available.
 */
export async function combineFromStart(
  name: string,
  plan: Plan,
  tensors: readonly Tensor[],
  position: readonly number[],
): Promise<Tensor> {
  if (plan.combination.byFisher) return await averageByFisher(name, plan.members, tensors);
  const weights = signedWeights(plan);
  const shape = tensors[0]?.shape ?? [];
  const mix = plan.combination.mix(plan.options);
  const isAverage = Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-12;
  if (mix === weightedSum && isAverage) {
    const values = tensors.map(({ data }) => data);
    return hostTensor("float32", shape, Float32Array.from(weightedSum(values, weights)));
  }
  if (plan.startOf === null) {
    const found = isAverage
      ? "its changes are pruned"
      : `the weights of the adapters that train it are ${weights.join(", ")}, expected them to sum to 1`;
    throw new UsageError(
      "usage/combine",
      `Cannot combine tensor "${name}" without the base model: ${found}`,
      { hint: "Give the base model with --model." },
    );
  }
  const { data: start } = await plan.startOf(name);
  const changes = tensors.map(({ data }) => Float64Array.from(data, (value, i) => value - start[i]!));
  const change = mix(changes, weights, position);
  return hostTensor(
    "float32",
    shape,
    Float32Array.from(change, (value, i) => start[i]! + value),
  );
}

/** Combines trained tensors of the base; adapters that do not train a tensor do not count for it. */
async function combineBase(plan: Plan, numSites: number): Promise<Map<string, Tensor>> {
  const names = [...new Set(plan.members.flatMap(({ adapter }) => [...adapter.base.keys()]))];
  const combined = new Map<string, Tensor>();
  for (const [index, name] of names.entries()) {
    const members = plan.members.filter(({ adapter }) => adapter.base.has(name));
    const tensors = members.map(({ adapter }) => adapter.base.get(name) as Tensor);
    combined.set(name, await combineFromStart(name, { ...plan, members }, tensors, [numSites + index]));
  }
  return combined;
}

function toResidual(cuts: ReadonlyMap<string, Truncation>): Residual {
  const share = (lost: number, total: number): number => (total === 0 ? 0 : Math.sqrt(lost / total));
  let [lost, total] = [0, 0];
  let worst = { path: "", residual: -1 };
  for (const [path, { lostSquared, totalSquared }] of cuts) {
    lost += lostSquared;
    total += totalSquared;
    const residual = share(lostSquared, totalSquared);
    if (residual > worst.residual) worst = { path, residual };
  }
  return { total: share(lost, total), worst };
}
