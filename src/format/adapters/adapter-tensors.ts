/**
 * @file The tensors of an adapter by their names in a file, both ways.
 *
 * Knows no method: the method says its tensors, and how a file holds those of a site where that is not one by one.
 */
import { FormatError, UsageError } from "../../errors.ts";
import { type AdaptedSite, type Adapter } from "../../peft/attach.ts";
import type { SiteTensors } from "../../peft/method.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";

/** Before the names of a module's tensors in a file. */
export const PREFIX = "base_model.model.";
/** Before those of tensors that all sites share. */
const SHARED_PREFIX = "base_model.";

type Tensor = HostTensor<"float32">;

/** The tensors of an adapter as its file holds them; views where a file holds them as they are. */
export function heldTensors(adapter: Adapter): Map<string, Tensor> {
  const held = new Map<string, Tensor>();
  for (const [name, tensor] of wholeTensors(adapter)) held.set(PREFIX + name, tensor);
  for (const site of adapter.sites.values()) {
    const tensors = ownTensors(adapter, site);
    const inFile = adapter.method.toFile?.(tensors, site.options) ?? tensors;
    for (const [suffix, tensor] of Object.entries(inFile))
      held.set(`${PREFIX}${site.path}.${suffix}`, tensor);
  }
  for (const [suffix, tensor] of sharedTensors(adapter)) held.set(SHARED_PREFIX + suffix, tensor);
  return held;
}

/** Tensors of the base that the adapter trains, by name. */
function wholeTensors(adapter: Adapter): [string, Tensor][] {
  const ofSites = new Set(
    [...adapter.sites.values()].flatMap(({ path, parameters }) =>
      parameters.map(({ suffix }) => `${path}.${suffix}`),
    ),
  );
  return adapter.parameters
    .filter(({ name }) => !ofSites.has(name))
    .map(({ name }) => [name, adapter.tensor(name) as Tensor]);
}

/** Tensors of a site that belong into a file, by suffix. */
function ownTensors(adapter: Adapter, { path, parameters, frozen }: AdaptedSite): SiteTensors {
  const saved = [...parameters, ...frozen.filter((spec) => spec.saved && !spec.shared)];
  return Object.fromEntries(
    saved.map(({ suffix }) => [suffix, adapter.input(`${path}.${suffix}`) as Tensor]),
  );
}

function sharedTensors({ sites, frozen }: Adapter): Map<string, Tensor> {
  const specs = [...sites.values()].flatMap((site) => site.frozen);
  return new Map(
    specs
      .filter(({ shared, saved }) => shared && saved)
      .map(({ suffix }) => [suffix, frozen.get(suffix) as Tensor]),
  );
}

/**
 * Copies the tensors of a file into an adapter, by their names in the file. `path`: of the adapter, for messages.
 * @throws UsageError "usage/adapter" for a wrong shape, FormatError "format/tensor" for missing and surplus tensors.
 */
export function fillAdapter(path: string, adapter: Adapter, tensors: ReadonlyMap<string, Tensor>): void {
  const given = fromFile(adapter, tensors);
  const own = new Map<string, Tensor>();
  /** Frozen tensors that a file may leave out. */
  const optional = new Set<string>();
  for (const [name, tensor] of wholeTensors(adapter)) own.set(PREFIX + name, tensor);
  for (const [suffix, tensor] of sharedTensors(adapter)) own.set(SHARED_PREFIX + suffix, tensor);
  for (const site of adapter.sites.values()) {
    for (const [suffix, tensor] of Object.entries(ownTensors(adapter, site))) {
      const name = `${PREFIX}${site.path}.${suffix}`;
      own.set(name, tensor);
      if (adapter.method.fromFile && !site.parameters.some((p) => p.suffix === suffix)) optional.add(name);
    }
  }
  refuseUnlike(path, own, given, optional);
  for (const [name, { data }] of own) {
    const tensor = given.get(name);
    if (tensor) data.set(tensor.data);
  }
}

/** The tensors of a file as the method has them in memory. */
function fromFile({ method, sites }: Adapter, tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  if (!method.fromFile) return new Map(tensors);
  const given = new Map<string, Tensor>();
  const bySite = new Map<AdaptedSite, Record<string, Tensor>>();
  for (const [name, tensor] of tensors) {
    const found = siteOf(sites, name);
    if (!found) given.set(name, tensor);
    else bySite.set(found.site, { ...bySite.get(found.site), [found.suffix]: tensor });
  }
  for (const [site, held] of bySite) {
    for (const [suffix, tensor] of Object.entries(method.fromFile(held, site.options))) {
      given.set(`${PREFIX}${site.path}.${suffix}`, tensor);
    }
  }
  return given;
}

function siteOf(
  sites: Adapter["sites"],
  name: string,
): { readonly site: AdaptedSite; readonly suffix: string } | null {
  if (!name.startsWith(PREFIX)) return null;
  const inner = name.slice(PREFIX.length);
  for (let dot = inner.indexOf("."); dot >= 0; dot = inner.indexOf(".", dot + 1)) {
    const site = sites.get(inner.slice(0, dot));
    if (site) return { site, suffix: inner.slice(dot + 1) };
  }
  return null;
}

function refuseUnlike(
  path: string,
  own: ReadonlyMap<string, Tensor>,
  given: ReadonlyMap<string, Tensor>,
  optional: ReadonlySet<string>,
): void {
  const missing = [...own.keys()].filter((name) => !given.has(name) && !optional.has(name));
  const surplus = [...given.keys()].filter((name) => !own.has(name));
  const misshaped = [...own].flatMap(([name, { shape }]) => {
    const found = given.get(name)?.shape;
    return found && found.join() !== shape.join()
      ? [`${name.replace(PREFIX, "")} is [${found.join(", ")}], expected [${shape.join(", ")}]`]
      : [];
  });
  if (misshaped.length > 0) {
    throw new UsageError("usage/adapter", `Cannot use adapter "${path}" with this model: ${misshaped[0]}`, {
      hint: "Choose the base model that the adapter was trained on",
    });
  }
  if (missing.length > 0 || surplus.length > 0) {
    const list = (names: string[]): string => `${names[0]?.replace(PREFIX, "")} and ${names.length - 1} more`;
    const parts = [
      ...(missing.length > 0 ? [`missing ${list(missing)}`] : []),
      ...(surplus.length > 0 ? [`surplus ${list(surplus)}`] : []),
    ];
    throw new FormatError("format/tensor", `Cannot use adapter "${path}": ${parts.join("; ")}`, {
      hint: "The adapter was made for another model, or its configuration does not say what its file holds",
    });
  }
}
