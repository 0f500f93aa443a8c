/** @file The adapter with which a run begins: a fresh one, or one read from files with its own options. */
import { isDeepStrictEqual } from "node:util";
import { UsageError } from "../../../errors.ts";
import { readAdapter } from "../../../format/by-path.ts";
import type { BaseModel } from "../../../models/base/base-model.ts";
import { type Adapter, attach } from "../../../peft/attach.ts";
import { type AttachRequest, layOut } from "../../../peft/layout.ts";
import { previewAttach } from "../../../peft/preview.ts";
import type { Method } from "../../../peft/method.ts";
import { namesSameRows } from "./token-ids.ts";
import { type Targets, readModules } from "../../../peft/sites/targets.ts";
import { Random, STREAM } from "../../../random.ts";
import type { VectorMemory } from "../../../runtime/memory/vector-memory.ts";
import type { TrainOptions } from "../../settings/options.ts";

/** Reads target modules: names, a regular expression (which may contain commas), or "all-linear". */
export function targetModules(given: string | readonly string[] | undefined): Targets["modules"] | null {
  return given === undefined ? null : readModules(typeof given === "string" ? given : given.join(","));
}

/** How a fresh adapter is attached if none is read. */
interface AdapterStart {
  readonly request: AttachRequest;
  /** The methods that the adapter's file may name. */
  readonly methods: readonly Method[];
  /** Where the trained vectors are; default: in memory. */
  readonly memory?: VectorMemory;
}

/** A fresh adapter, or the one to start from. @throws UsageError "usage/adapter" */
export async function startAdapter(
  options: TrainOptions,
  base: BaseModel,
  { request, methods, memory }: AdapterStart,
): Promise<Adapter> {
  if (options.initAdapter !== undefined) {
    const { adapter } = await readAdapter(options.initAdapter, base, methods);
    try {
      requireSameMethod(options, adapter);
      requireSameOptions(options, request.options, adapter, base);
    } catch (error) {
      adapter.release();
      throw error;
    }
    return adapter;
  }
  return await attach(base, request, new Random(options.seed, STREAM.startValues), memory);
}

/** @throws UsageError "usage/adapter" */
function requireSameMethod({ method, initAdapter }: TrainOptions, { method: own }: Adapter): void {
  if (own.name === method) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot start ${method} from adapter "${initAdapter}": it is ${own.name}`,
    { hint: `Give --method ${own.name}, or leave the adapter out.` },
  );
}

/** Whether an option that names modules means the same as the adapter's own: its file may have other names for them. */
function saysSameOfModules(
  key: string,
  value: unknown,
  { method, options, targets }: Adapter,
  { model, source }: BaseModel,
): boolean {
  if (!/(Modules|Pattern)$/.test(key)) return false;
  const asked = { ...(options as object), [key]: value };
  const [own, other] = [options, asked].map((each) =>
    [...layOut(model, source, { method, options: each, targets }).sites].map(([path, site]) => [
      path,
      site.options,
    ]),
  );
  return isDeepStrictEqual(own, other);
}

/** Refuses options that differ from the adapter's own, since they would be ignored. @throws UsageError "usage/adapter" */
function requireSameOptions(
  options: TrainOptions,
  ofMethod: unknown,
  adapter: Adapter,
  base: BaseModel,
): void {
  const own = adapter.options as Readonly<Record<string, unknown>>;
  const others = Object.entries(ofMethod as object).flatMap(([key, value]) =>
    isDeepStrictEqual(own[key], value) ||
    namesSameRows(key, value, adapter) ||
    saysSameOfModules(key, value, adapter, base)
      ? []
      : [`${key} is ${JSON.stringify(own[key])} in the adapter, but ${JSON.stringify(value)} is requested`],
  );
  const modules = targetModules(options.targetModules);
  if (modules !== null || options.layers !== undefined) {
    const targets = { modules: modules ?? adapter.targets.modules, layers: options.layers ?? null };
    const request = { method: adapter.method, options: adapter.options, targets };
    const { paths: asked } = previewAttach(base.model, base.source, request);
    const lacking = asked.find((path) => !adapter.sites.has(path));
    const surplus = [...adapter.sites.keys()].find((path) => !asked.includes(path));
    if (lacking !== undefined) others.push(`it is not on "${lacking}", which is requested`);
    if (surplus !== undefined) others.push(`it is on "${surplus}", which is not requested`);
  }
  if (others.length === 0) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot start from adapter "${options.initAdapter}" with other settings: ${others.join("; ")}`,
    { hint: "Leave out the method's options and target modules: the adapter has its own." },
  );
}
