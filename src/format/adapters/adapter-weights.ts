/** @file Reads adapter folders without their model: names of tensors tell the modules, shapes their sizes. */
import { sameShape, showShape } from "../../graph/shape.ts";
import { FormatError, UsageError } from "../../errors.ts";
import { isWithin, moduleOf } from "../../models/module-path.ts";
import type { Algebra, SiteState } from "../../peft/algebra/contract.ts";
import { type AdapterWeights, algebraOf } from "../../peft/algebra/plan.ts";
import { parseMethodOptions } from "../../peft/layout.ts";
import { modulesToSave } from "../../peft/method.ts";
import type { SiteTensors } from "../../peft/sites/site.ts";
import type { AskedTargets } from "../../peft/sites/targets.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { BASE_KEY, TEMPLATE_KEY } from "./adapter.ts";
import { readSettings } from "./adapter-settings.ts";
import { isInBaseLayer, withModulesOfGraft } from "./adapter-base.ts";
import { BASE_SAMPLE_KEY } from "./base-record.ts";
import { CLASSES_KEY, PROBLEM_KEY } from "./adapter-classes.ts";
import { PREFIX } from "./adapter-tensors.ts";
import { CODES_KEY } from "./codes-hash.ts";
import type { Folder } from "../files/folder.ts";
import { readAdapterFolder, refuseNonNumbers } from "./adapter-folder.ts";

type Tensor = HostTensor<"float32">;

/** Keys that graft writes in the header of a tensors' file. */
const NOTE_KEYS = [TEMPLATE_KEY, CODES_KEY, BASE_KEY, BASE_SAMPLE_KEY, CLASSES_KEY, PROBLEM_KEY];

/** An adapter without its model, and what else its folder tells. */
export interface WeightsFolder {
  readonly adapter: AdapterWeights;
  readonly targets: AskedTargets;
  /** The base that it was made for. */
  readonly baseName: string | null;
  /** The `task_type` of the settings. */
  readonly taskType: unknown;
  /** What graft wrote in the header of the tensors' file. */
  readonly notes: Readonly<Record<string, string>>;
}

/**
 * Reads an adapter folder without its model.
 * @throws UsageError "usage/adapter" for unsupported settings, "usage/combine" when the method or its options allow no arithmetic;
 * FormatError "format/tensor" for a tensor that is missing, misshaped or not finite.
 */
export async function readAdapterWeights(folder: Folder): Promise<WeightsFolder> {
  const { path } = folder;
  const { config, tensors, metadata } = await readAdapterFolder(folder);
  const settings = readSettings(path, withModulesOfGraft(config, tensors));
  const { method, options: raw, targets, storedTransposed } = settings;
  const options = parseMethodOptions(method, raw);
  const algebra = algebraOf(method);
  const refusal = algebra.refuses(options);
  if (refusal !== null) {
    throw new UsageError(
      "usage/combine",
      `Cannot combine adapter "${path}": ${refusal}, expected an adapter without`,
      { hint: "Merge it into the model, or train one without." },
    );
  }
  refuseNonNumbers(`combine adapter "${path}"`, tensors);
  const { bySite, base, shared } = sortTensors(tensors, algebra);
  const sites = readSites(path, bySite, { method, options, storedTransposed });
  refuseSurplus(path, base, { method, options });
  const baseName = config["base_model_name_or_path"];
  const notes = Object.fromEntries(
    NOTE_KEYS.flatMap((key) => (metadata[key] === undefined ? [] : [[key, metadata[key]]])),
  );
  return {
    adapter: { method, options, sites, base, frozen: shared, storedTransposed, fisher: null },
    targets,
    taskType: config["task_type"] ?? null,
    baseName: typeof baseName === "string" && baseName !== "" ? baseName : null,
    notes,
  };
}

/** Builds the sites of an adapter from their tensors in a file. @throws UsageError, FormatError as `readAdapterWeights` */
function readSites(
  path: string,
  bySite: ReadonlyMap<string, SiteTensors>,
  { method, options, storedTransposed }: Pick<AdapterWeights, "method" | "options" | "storedTransposed">,
): ReadonlyMap<string, SiteState<unknown>> {
  const algebra = algebraOf(method);
  // Roles of modules are known only with the base.
  const unknown = { role: "other", bias: false, storedTransposed } as const;
  const specs = [...bySite].map(([name, own]) => ({ name, ...unknown, ...algebra.sizeOf(own, options) }));
  const configure = method.kind === "adapter" ? method.configure(options) : null;
  return new Map(
    specs.map((spec): [string, SiteState<unknown>] => {
      const own = bySite.get(spec.name) ?? {};
      // A site's own options are known only with the base, and are not needed here. Modules trained whole do not concern a site.
      if (algebra.kind === "from-start" || method.kind === "base")
        return [spec.name, { tensors: own, options: { ...(options as object), modulesToSave: null } }];
      const place = { path: spec.name, spec, storage: "f32" as const, groupSize: null, sites: specs };
      const siteOptions = configure!(place);
      const frozen = method.frozen.specs(spec, siteOptions);
      if (frozen.some(({ suffix, saved, shared }) => saved && !shared && !(suffix in own))) {
        throw startOutside(path, spec.name);
      }
      refuseMisshaped(path, spec.name, own, method.trained.specs(spec, siteOptions));
      return [spec.name, { tensors: own, options: siteOptions }];
    }),
  );
}

/** Sorts a file's tensors by whether they belong to a site, the base, or all sites. */
function sortTensors(
  tensors: ReadonlyMap<string, Tensor>,
  { suffixes }: Algebra<unknown, unknown>,
): { bySite: Map<string, SiteTensors>; base: Map<string, Tensor>; shared: Map<string, Tensor> } {
  const [base, shared] = [new Map<string, Tensor>(), new Map<string, Tensor>()];
  const bySite = new Map<string, SiteTensors>();
  for (const [key, tensor] of tensors) {
    if (!key.startsWith(PREFIX)) {
      shared.set(key, tensor);
      continue;
    }
    const name = key.slice(PREFIX.length);
    const suffix = suffixes.find((end) => name.endsWith(`.${end}`));
    if (suffix === undefined) {
      // Skip copies of the base's tensors, which PEFT saves with an adapter on an embedding or a head.
      if (!isInBaseLayer(name)) base.set(name, tensor);
      continue;
    }
    const path = name.slice(0, -suffix.length - 1);
    bySite.set(path, { ...bySite.get(path), [suffix]: tensor });
  }
  return { bySite, base, shared };
}

/** Refuses tensors that belong to no site, unless their module is trained whole or the method trains the base. */
function refuseSurplus(
  path: string,
  base: ReadonlyMap<string, Tensor>,
  { method, options }: Pick<AdapterWeights, "method" | "options">,
): void {
  if (algebraOf(method).kind === "from-start") return;
  const modules = modulesToSave(method, options) ?? [];
  for (const name of base.keys()) {
    const module = moduleOf(name);
    if (modules.some((saved) => isWithin(saved, module))) continue;
    throw new FormatError("format/tensor", `Cannot combine adapter "${path}": surplus tensor ${name}`, {
      hint: "Its configuration does not match its file: save it again with the program that made it.",
    });
  }
}

function startOutside(path: string, site: string): UsageError {
  return new UsageError(
    "usage/combine",
    `Cannot combine adapter "${path}": "${site}" started from the base's weight, but its file lacks the initial values`,
    { hint: "Save it with peft's path_initial_model_for_weight_conversion, or as graft saves it." },
  );
}

function refuseMisshaped(
  path: string,
  site: string,
  tensors: SiteTensors,
  expected: readonly { readonly suffix: string; readonly shape: readonly number[] }[],
): void {
  for (const { suffix, shape } of expected) {
    const found = tensors[suffix]?.shape;
    if (found && sameShape(found, shape)) continue;
    throw new FormatError(
      "format/tensor",
      `Cannot combine adapter "${path}": ${site}.${suffix} is ${found ? showShape(found) : "missing"}, expected ${showShape(shape)}`,
      {
        hint: "Its configuration does not match its file: save it again with the program that made it.",
      },
    );
  }
}
