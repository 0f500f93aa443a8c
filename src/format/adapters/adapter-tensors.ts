/**
 * @file Converts the tensors of an adapter to those of a file, by name, and back.
 *
 * This file knows no method. The method tells which tensors it has, and converts those of a site if files hold them in another form.
 */
import { sameShape, showShape } from "../../graph/shape.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { lastName, moduleOf } from "../../models/module-path.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import type { Adapter } from "../../peft/attach.ts";
import type { AdaptedSite } from "../../peft/layout.ts";
import type { SiteTensors } from "../../peft/sites/site.ts";
import { weightOf } from "../../peft/sites/site-weight.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Prefix of the names of a module's tensors in a file. */
export const PREFIX = "base_model.model.";
/** Peft's name for the original module inside an adapter. */
export const BASE_LAYER = "base_layer";
/** Prefix of the names of tensors that all sites share. */
const SHARED_PREFIX = "base_model.";

type Tensor = HostTensor<"float32">;

/** The tensors of an adapter as its file holds them; views where a file holds them unchanged. */
export function heldTensors(adapter: Adapter): Map<string, Tensor> {
  const held = new Map<string, Tensor>();
  for (const [name, tensor] of wholeTensors(adapter)) held.set(name, tensor);
  const { method } = adapter;
  for (const [module, site] of modulesInFile(adapter.sites)) {
    const tensors = ownTensors(adapter, site);
    const inFile = method.kind === "adapter" ? method.file.toTensors(tensors, site.options) : tensors;
    for (const [suffix, tensor] of Object.entries(inFile)) held.set(`${PREFIX}${module}.${suffix}`, tensor);
  }
  for (const [suffix, tensor] of sharedTensors(adapter)) held.set(SHARED_PREFIX + suffix, tensor);
  return held;
}

/**
 * Maps paths of modules in a file to the sites whose tensors they hold. A stack is a parameter of a module, which PEFT wraps once
 * for each of its adapted parameters: the last one is outermost.
 */
function modulesInFile(sites: Adapter["sites"]): Map<string, AdaptedSite> {
  const modules = new Map<string, AdaptedSite>();
  for (const site of [...sites.values()].toReversed()) {
    let module = site.spec.kind === "stack" ? moduleOf(site.path) : site.path;
    while (modules.has(module)) module += `.${BASE_LAYER}`;
    modules.set(module, site);
  }
  return new Map([...modules].toReversed());
}

/** Tensors of the base that the adapter trains, by their names in a file. */
function wholeTensors({ parameters, sites }: Adapter): [string, Tensor][] {
  return parameters.flatMap(({ owner, name, value }) => {
    if (owner.kind !== "base") return [];
    const module = moduleOf(name);
    const inFile = sites.has(module) ? `${module}.${BASE_LAYER}.${lastName(name)}` : name;
    return [[PREFIX + inFile, value] as [string, Tensor]];
  });
}

/** Tensors of a site that are saved in a file, by suffix. */
function ownTensors(adapter: Adapter, site: AdaptedSite): SiteTensors {
  const tensors = adapter.tensorsOf(site);
  const saved = [...site.parameters, ...site.frozen.filter((spec) => spec.saved && !spec.shared)];
  return Object.fromEntries(saved.map(({ suffix }) => [suffix, tensors[suffix] as Tensor]));
}

function sharedTensors({ sites, shared: tensors }: Adapter): Map<string, Tensor> {
  const specs = [...sites.values()].flatMap((site) => site.frozen);
  return new Map(
    specs
      .filter(({ shared, saved }) => shared && saved)
      .map(({ suffix }) => [suffix, tensors.get(suffix) as Tensor]),
  );
}

/**
 * Copies the tensors of a file into an adapter, by their names in the file. `path`: of the adapter, for messages. `base`: gives
 * the weights from which values are computed that a file lacks; null: a file that lacks such values is refused.
 * @throws UsageError "usage/adapter" for a wrong shape, FormatError "format/tensor" for missing and surplus tensors.
 */
export async function fillAdapter(
  path: string,
  adapter: Adapter,
  tensors: ReadonlyMap<string, Tensor>,
  base: BaseModel | null,
): Promise<void> {
  const given = await fromFile(adapter, tensors, base);
  const own = new Map<string, Tensor>();
  for (const [name, tensor] of wholeTensors(adapter)) own.set(name, tensor);
  for (const [suffix, tensor] of sharedTensors(adapter)) own.set(SHARED_PREFIX + suffix, tensor);
  for (const site of adapter.sites.values()) {
    for (const [suffix, tensor] of Object.entries(ownTensors(adapter, site))) {
      own.set(`${PREFIX}${site.path}.${suffix}`, tensor);
    }
  }
  refuseUnlike(path, own, given);
  for (const [name, { data }] of own) data.set(given.get(name)!.data);
}

/** Converts the tensors of a file to those that the method has in memory. */
async function fromFile(
  { method, sites }: Adapter,
  tensors: ReadonlyMap<string, Tensor>,
  base: BaseModel | null,
): Promise<ReadonlyMap<string, Tensor>> {
  if (method.kind === "base") return tensors;
  const given = new Map<string, Tensor>();
  const bySite = new Map<AdaptedSite, Record<string, Tensor>>();
  const modules = modulesInFile(sites);
  for (const [name, tensor] of tensors) {
    const found = siteOf(modules, name);
    if (!found || found.suffix.startsWith(`${BASE_LAYER}.`)) given.set(name, tensor);
    else bySite.set(found.site, { ...bySite.get(found.site), [found.suffix]: tensor });
  }
  for (const [site, held] of bySite) {
    const source = { spec: site.spec, ...(base ? weightOf(base, site.path) : NO_WEIGHT) };
    for (const [suffix, tensor] of Object.entries(
      await method.file.fromTensors(held, site.options, source),
    )) {
      given.set(`${PREFIX}${site.path}.${suffix}`, tensor);
    }
  }
  return given;
}

const NO_WEIGHT = {
  weight: (): never => {
    throw new RangeError("Cannot read a weight of the base: the base is not open");
  },
};

function siteOf(
  modules: ReadonlyMap<string, AdaptedSite>,
  name: string,
): { readonly site: AdaptedSite; readonly suffix: string } | null {
  if (!name.startsWith(PREFIX)) return null;
  const inner = name.slice(PREFIX.length);
  for (let dot = inner.lastIndexOf("."); dot > 0; dot = inner.lastIndexOf(".", dot - 1)) {
    const site = modules.get(inner.slice(0, dot));
    if (site) return { site, suffix: inner.slice(dot + 1) };
  }
  return null;
}

function refuseUnlike(
  path: string,
  own: ReadonlyMap<string, Tensor>,
  given: ReadonlyMap<string, Tensor>,
): void {
  const missing = [...own.keys()].filter((name) => !given.has(name));
  const surplus = [...given.keys()].filter((name) => !own.has(name));
  const misshaped = [...own].flatMap(([name, { shape }]) => {
    const found = given.get(name)?.shape;
    return found && !sameShape(found, shape)
      ? [`${name.replace(PREFIX, "")} is ${showShape(found)}, expected ${showShape(shape)}`]
      : [];
  });
  if (misshaped.length > 0) {
    throw new UsageError("usage/adapter", `Cannot use adapter "${path}" with this model: ${misshaped[0]}`, {
      hint: "Choose the base model that the adapter was trained on.",
    });
  }
  if (missing.length > 0 || surplus.length > 0) {
    const list = ([first = "", ...others]: string[]): string =>
      first.replace(PREFIX, "") + (others.length > 0 ? ` and ${others.length} more` : "");
    const parts = [
      ...(missing.length > 0 ? [`missing ${list(missing)}`] : []),
      ...(surplus.length > 0 ? [`surplus ${list(surplus)}`] : []),
    ];
    throw new FormatError("format/tensor", `Cannot use adapter "${path}": ${parts.join("; ")}`, {
      hint: "The adapter was made for another model, or its configuration does not match its file.",
    });
  }
}
