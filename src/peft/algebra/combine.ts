/**
 * @file Combines adapters that were read without their model: site by site, then the tensors of the base that they train.
 *
 * Nothing here is written for one method; a method says how its tensors stand for a change.
 */
import { UsageError } from "../../errors.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { Algebra, SiteShare, VectorAlgebra } from "./contract.ts";
import { type Sum, weightsOf } from "./expression.ts";
import type { Method, SiteTensors } from "../method.ts";
import { type Coefficient, paperCoefficients } from "./coefficients.ts";
import { type Combination, type CombineOptions, findCombination } from "./combinations.ts";
import type { Truncation } from "./truncate.ts";
import { weightedSum } from "./mixing.ts";
import { refuseCut, refuseUnlike, refuseUnlikeSites } from "./refusals.ts";

type Tensor = HostTensor<"float32">;

/** An adapter without its model. */
export interface LooseAdapter {
  readonly method: Method;
  readonly options: unknown;
  /** By full module path. */
  readonly sites: ReadonlyMap<string, SiteShare<unknown>>;
  /** Trained tensors of the base itself, by name. */
  readonly base: ReadonlyMap<string, Tensor>;
  /** Frozen tensors that its file holds, by their names there. */
  readonly frozen: ReadonlyMap<string, Tensor>;
}

/** What was cut off by a lower rank, as a share of the Frobenius norm. */
export interface Residual {
  /** Of all sites together. */
  readonly total: number;
  /** The site that lost most. */
  readonly worst: { readonly path: string; readonly residual: number };
}

/** A combined adapter. */
export interface Combined extends LooseAdapter {
  /** Null when nothing was cut off. */
  readonly residual: Residual | null;
}

/** One adapter of an expression. */
export interface Member {
  readonly name: string;
  readonly adapter: LooseAdapter;
  /** Its weight when the expression is multiplied out. */
  readonly weight: number;
  /** Its weights by the operators of the combination. */
  readonly coefficient: Coefficient;
}

/** What a tensor was before training, by full name. */
export type StartOf = (name: string) => Promise<Tensor>;

/** How the members are brought together. */
export interface Plan {
  readonly members: readonly Member[];
  readonly combination: Combination;
  readonly options: CombineOptions;
  readonly startOf: StartOf | null;
}

/**
 * Combines adapters; the result owns its tensors, but for frozen ones. `startOf` null: there is no base at hand.
 * @throws UsageError "usage/combine" when the adapters do not fit each other or the way of combining.
 */
export async function combineLoose(
  sum: Sum,
  adapters: ReadonlyMap<string, LooseAdapter>,
  options: CombineOptions,
  startOf: StartOf | null,
): Promise<Combined> {
  const plan = toPlan(sum, adapters, options, startOf);
  const { members, combination } = plan;
  refuseUnlike(members, combination);
  refuseCut(members, algebraOf((members[0] as Member).adapter.method), combination);
  const { method, frozen } = (members[0] as Member).adapter;
  const algebra = algebraOf(method);

  const cuts = new Map<string, Truncation>();
  const paths = [...new Set(members.flatMap(({ adapter }) => [...adapter.sites.keys()]))];
  const sites = new Map<string, SiteShare<unknown>>();
  for (const [position, path] of paths.entries()) {
    const here = members.filter(({ adapter }) => adapter.sites.has(path));
    refuseUnlikeSites(path, here, algebra, combination);
    const { share, cut } = await combineSite(path, { ...plan, members: here }, algebra, position);
    sites.set(path, share);
    if (cut) cuts.set(path, cut);
  }
  const terms = members.map(({ adapter }) => adapter.options) as [unknown, ...unknown[]];
  return {
    method,
    options: algebra.optionsOf(new Map([...sites].map(([path, share]) => [path, share.options])), terms),
    sites,
    base: await combineBase(plan, paths.length),
    frozen,
    residual: cuts.size === 0 ? null : toResidual(cuts),
  };
}

/**
 * The adapters with their weights; those of weight 0 are left out of an exact sum, as far as others remain.
 * @throws UsageError "usage/combine" for settings that do not fit the way of combining.
 */
export function toPlan(
  sum: Sum,
  adapters: ReadonlyMap<string, LooseAdapter>,
  options: CombineOptions,
  startOf: StartOf | null,
): Plan {
  const combination = findCombination(options);
  const coefficients = combination.averages ? paperCoefficients(sum) : null;
  const members = [...weightsOf(sum)].map(([name, weight]): Member => {
    const coefficient = coefficients?.get(name) ?? { kept: Math.abs(weight), signed: weight };
    return { name, adapter: adapters.get(name) as LooseAdapter, weight, coefficient };
  });
  const moving = members.filter(({ weight }) => weight !== 0);
  const isWhole = combination.mixesFactors || moving.length === 0;
  return { members: isWhole ? members : moving, combination, options, startOf };
}

/** The arithmetic of a method. @throws UsageError "usage/combine" when it has none. */
export function algebraOf({ name, algebra }: Method): Algebra<unknown, unknown> {
  if (algebra !== "not-composable") return algebra;
  throw new UsageError(
    "usage/combine",
    `Cannot combine adapters of method "${name}": the method can hold neither a sum nor the negative of changes`,
    { hint: "Merge one of them into the model, and train the other on that" },
  );
}

async function combineSite(
  path: string,
  plan: Plan,
  algebra: Algebra<unknown, unknown>,
  position: number,
): Promise<{ share: SiteShare<unknown>; cut: Truncation | null }> {
  const shares = plan.members.map(({ adapter }) => adapter.sites.get(path) as SiteShare<unknown>);
  const like = shares[0] as SiteShare<unknown>;
  if (algebra.kind === "factors") {
    const terms = plan.members.map(({ weight, coefficient }, i) => {
      return { weight, coefficient, pair: algebra.split(shares[i] as SiteShare<unknown>) };
    });
    const { pair, cut } = plan.combination.factors(terms, plan.options, position);
    return { share: algebra.join(pair, like), cut };
  }
  if (algebra.kind === "vectors") {
    const tensors = plan.combination.sumsParameters
      ? sumParameters(plan, shares)
      : sumChanges(plan, shares, algebra, position);
    return { share: { tensors, options: like.options }, cut: null };
  }
  const tensors: Record<string, Tensor> = {};
  for (const [which, suffix] of Object.keys(like.tensors).entries()) {
    const own = shares.map((share) => share.tensors[suffix] as Tensor);
    tensors[suffix] = await combineFromStart(`${path}.${suffix}`, plan, own, [position, which]);
  }
  return { share: { tensors, options: like.options }, cut: null };
}

function signedWeights({ members }: Plan): number[] {
  return members.map(({ coefficient }) => coefficient.signed);
}

function sumParameters(plan: Plan, shares: readonly SiteShare<unknown>[]): SiteTensors {
  const weights = signedWeights(plan);
  return Object.fromEntries(
    Object.entries(shares[0]?.tensors ?? {}).map(([suffix, { shape }]) => {
      const values = shares.map(({ tensors }) => tensors[suffix]!.data);
      return [suffix, hostTensor("float32", shape, Float32Array.from(weightedSum(values, weights)))];
    }),
  );
}

function sumChanges(
  plan: Plan,
  shares: readonly SiteShare<unknown>[],
  algebra: VectorAlgebra<unknown>,
  position: number,
): SiteTensors {
  const changes = shares.map((share) => algebra.toChange(share));
  const mix = plan.combination.mix(plan.options);
  const change = Object.fromEntries(
    Object.keys(changes[0] ?? {}).map((key, which) => {
      const values = changes.map((own) => own[key]!);
      return [key, mix(values, signedWeights(plan), [position, which])];
    }),
  );
  return algebra.fromChange(change, shares[0] as SiteShare<unknown>);
}

/**
 * θ₀ + Σ w (θ − θ₀), for which θ₀ is not needed when the weights sum to 1; fresh. `tensors`: one a member.
 * @throws UsageError "usage/combine" when it is needed and not at hand.
 */
export async function combineFromStart(
  name: string,
  plan: Plan,
  tensors: readonly Tensor[],
  position: readonly number[],
): Promise<Tensor> {
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
      : `the weights of the adapters that train it are ${weights.join(", ")}, expected a sum of 1`;
    throw new UsageError(
      "usage/combine",
      `Cannot combine tensor "${name}" without the base model: ${found}`,
      { hint: "Name the base model with --model" },
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

/** An adapter that does not train a tensor leaves it as it is. */
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
