/**
 * @file Adapters in files: what a method trained as a PEFT folder, or as an ordinary model when it trains the base itself.
 *
 * Knows no method: the method says its keys and its tensors' names.
 */
import { UsageError } from "../../errors.ts";
import { type SiteSpec, outerSites } from "../../models/architecture.ts";
import type { BaseModel } from "../../models/base-model.ts";
import { type Adapter, type AttachRequest, attach } from "../../peft/attach.ts";
import type { Method } from "../../peft/method.ts";
import { METHODS, findMethodOfConfig } from "../../peft/methods.ts";
import { matchSuffix } from "../../peft/targets.ts";
import { Random } from "../../random.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { withModulesOfGraft, withModulesOfPeft, withoutCopies } from "./adapter-base.ts";
import { adapterFolderFiles, readAdapterFolder } from "./adapter-folder.ts";
import { fillAdapter, heldTensors } from "./adapter-tensors.ts";
import type { FolderFile } from "../files/atomic.ts";
import { type Checkpoint, modelFolderFiles } from "../checkpoint/checkpoint.ts";
import { checkCodes, codesMetadata } from "./codes-hash.ts";
import { openSafetensors } from "../files/safetensors.ts";

/** Key of the template's hash in the head of the tensors' file. */
export const TEMPLATE_KEY = "chat_template_sha256";

/** Keys of adapter_config.json that say nothing about the numbers, or that `attach` reads. */
const NEUTRAL_KEYS = [
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_type",
  "peft_version",
  "revision",
  "task_type",
  "layers_pattern",
  "megatron_core",
  "qalora_group_size",
];

/** Whether the method's result is an adapter folder; else it is a whole model. */
export function isAdapterMethod(adapter: Adapter): boolean {
  return adapter.method.peftType !== "none";
}

/** Facts for a file that are not the adapter's own. */
export interface AdapterOrigin {
  readonly base: BaseModel;
  readonly checkpoint: Checkpoint;
  readonly chatTemplateHash: string | null;
}

/** The files that hold what was trained. */
export function adapterFiles(adapter: Adapter, origin: AdapterOrigin): FolderFile[] {
  const { base, checkpoint } = origin;
  if (!isAdapterMethod(adapter)) {
    const tensors = [...base.specs.values()].map(({ name, shape }) => {
      const load = (): HostTensor | Promise<HostTensor> => adapter.tensor(name) ?? base.values(name);
      return [name, { dtype: "float32" as const, shape, load }] as const;
    });
    const { generationConfig, tokenizerFiles } = checkpoint;
    const config = { ...checkpoint.config, dtype: "float32", torch_dtype: "float32" };
    return modelFolderFiles({ config, generationConfig, tokenizerFiles, tensors });
  }
  const tensors = heldTensors(adapter);
  const { chatTemplateHash } = origin;
  // In the head of the tensors' file: peft warns of keys in adapter_config.json that it does not know.
  const metadata: Record<string, string> = {
    ...codesMetadata(adapter),
    ...(chatTemplateHash === null ? {} : { [TEMPLATE_KEY]: chatTemplateHash }),
  };
  return adapterFolderFiles({ config: adapterConfig(adapter, base), tensors, metadata });
}

function adapterConfig(adapter: Adapter, base: BaseModel): Record<string, unknown> {
  const { targets } = adapter;
  const { regex, modules } = targetsForFile(adapter, base);
  return {
    target_modules: regex ?? modules,
    ...withModulesOfPeft(settingsForFile(adapter, modules, base.name), base),
    // PEFT has no word for the task of classifying images.
    ...(base.architecture.stem.reads === "tokens" ? {} : { task_type: null }),
    // Not every method of PEFT knows the key.
    ...(regex !== null && targets.exclude.length > 0 ? { exclude_modules: targets.exclude } : {}),
  };
}

/** What an adapter_config.json says beside its target modules; `modules`: their names. */
export function settingsForFile(
  adapter: Pick<Adapter, "method" | "options"> & {
    readonly sites: ReadonlyMap<string, { readonly options: unknown }>;
  },
  modules: readonly string[],
  baseName: string | null,
): Record<string, unknown> {
  const { method, options, sites } = adapter;
  const siteOptions = [...sites.values()].map((site) => site.options);
  return {
    auto_mapping: null,
    base_model_name_or_path: baseName,
    modules_to_save: null,
    ...method.toPeft(options, modules, siteOptions, [...sites.keys()]),
    peft_type: method.peftType,
    revision: null,
    task_type: "CAUSAL_LM",
  };
}

/**
 * How a file names the sites: short names where they pick exactly these sites, else whole paths. Chosen layers are
 * written as paths too: PEFT knows `layers_to_transform` for some methods only, and for none beside an expression.
 */
function targetsForFile(
  { targets, sites }: Adapter,
  { architecture, config }: BaseModel,
): { regex: string | null; modules: readonly string[] } {
  const paths = [...sites.keys()];
  const names = [...new Set(paths.map((path) => path.slice(path.lastIndexOf(".") + 1)))].sort();
  const { modules, layers } = targets;
  if (typeof modules === "string" && modules !== "all-linear" && layers === null) {
    return { regex: modules, modules: names };
  }
  const numPicked = (of: readonly SiteSpec[]): number =>
    of.filter((site) => names.some((name) => matchSuffix(name, site.name))).length;
  const inBlocks = numPicked(architecture.sites(config)) * config.numLayers;
  const outside = numPicked(outerSites(architecture, config));
  return { regex: null, modules: inBlocks + outside === paths.length ? names : paths };
}

/** An adapter that was read, with what its file says beside the numbers. */
export interface ReadAdapter {
  readonly adapter: Adapter;
  readonly chatTemplateHash: string | null;
}

/**
 * Reads an adapter folder onto a model; `methods` are those that it may be of.
 * @throws UsageError "usage/adapter" when it was made for another model or says what graft does not do;
 * FormatError "format/tensor" for a missing, surplus or misshaped tensor.
 */
export async function readAdapter(
  path: string,
  base: BaseModel,
  methods: readonly Method[] = METHODS,
): Promise<ReadAdapter> {
  const { config, tensors, metadata } = await readAdapterFolder(path);
  const settings = readSettings(path, withModulesOfGraft(config, tensors), methods);
  const adapter = await attach(base, settings, new Random(0));
  checkCodes(path, adapter, metadata);
  fillAdapter(path, adapter, await withoutCopies(path, base, tensors));
  return { adapter, chatTemplateHash: metadata[TEMPLATE_KEY] ?? null };
}

/** Reads what an adapter_config.json asks for. @throws UsageError "usage/adapter" as `readAdapter`. */
export function readSettings(
  path: string,
  config: Readonly<Record<string, unknown>>,
  methods: readonly Method[] = METHODS,
): AttachRequest {
  const raw: Record<string, unknown> = { ...config };
  const method = findMethodOfConfig(raw, methods);
  const options = method.fromPeft(raw);
  const take = (key: string): unknown => {
    const value = raw[key];
    delete raw[key];
    return value ?? null;
  };
  const layers = take("layers_to_transform") as number | number[] | null;
  const modules = take("target_modules") as string | string[] | null;
  const exclude = take("exclude_modules") as string | string[] | null;
  refuseUnknown(path, raw);
  const targets = { modules, exclude: exclude ?? [], layers: layers === null ? null : [layers].flat() };
  return { method, options, targets };
}

/** Keys that are not known and are set: they would change the numbers. */
function refuseUnknown(path: string, raw: Readonly<Record<string, unknown>>): void {
  const set = Object.entries(raw).filter(([key, value]) => {
    if (NEUTRAL_KEYS.includes(key)) return false;
    const empty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    return !(value === null || value === false || value === 0 || value === "" || empty || value === "none");
  });
  if (set.length === 0) return;
  const found = set.map(([key, value]) => `${key} is ${JSON.stringify(value)}`).join("; ");
  throw new UsageError(
    "usage/adapter",
    `Cannot use adapter "${path}": ${found}, which graft does not implement`,
    {
      hint: "Make the adapter without these settings, or merge it with the program that made it",
    },
  );
}

/** Puts the numbers of a saved run, adapter folder or model, back into an adapter of the same settings. */
export async function restoreAdapter(path: string, adapter: Adapter): Promise<void> {
  if (isAdapterMethod(adapter)) {
    fillAdapter(path, adapter, (await readAdapterFolder(path)).tensors);
    return;
  }
  const file = await openSafetensors(`${path}/model.safetensors`);
  try {
    for (const { name } of adapter.parameters) {
      adapter.tensor(name)?.data.set((await file.read(name)).data as Float32Array);
    }
  } finally {
    await file.close();
  }
}
