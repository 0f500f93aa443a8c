/**
 * @file Adapters in files: what a method trained as a PEFT folder, or as an ordinary model when it trains the base itself.
 *
 * Knows no method: the method says its keys and its tensors' names.
 */
import { FormatError, UsageError } from "../errors.ts";
import type { BaseModel } from "../models/base-model.ts";
import { type Adapter, attach } from "../peft/attach.ts";
import type { Method } from "../peft/method.ts";
import { METHODS, findMethodOfConfig } from "../peft/methods.ts";
import { matchSuffix } from "../peft/targets.ts";
import { Random } from "../random.ts";
import type { HostTensor } from "../runtime/host-tensor.ts";
import { adapterFolderFiles, readAdapterFolder } from "./adapter-folder.ts";
import type { FolderFile } from "./atomic.ts";
import { type Checkpoint, modelFolderFiles } from "./checkpoint.ts";
import { checkCodes, codesMetadata } from "./codes-hash.ts";
import { openSafetensors } from "./safetensors.ts";

const PREFIX = "base_model.model.";
/** Of tensors that all sites share. */
const SHARED_PREFIX = "base_model.";
const TEMPLATE_KEY = "chat_template_sha256";

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
  const tensors = savedTensors(adapter);
  const { chatTemplateHash } = origin;
  // In the head of the tensors' file: peft warns of keys in adapter_config.json that it does not know.
  const metadata: Record<string, string> = {
    ...codesMetadata(adapter),
    ...(chatTemplateHash === null ? {} : { [TEMPLATE_KEY]: chatTemplateHash }),
  };
  return adapterFolderFiles({ config: adapterConfig(adapter, base), tensors, metadata });
}

function adapterConfig(adapter: Adapter, base: BaseModel): Record<string, unknown> {
  const { method, targets } = adapter;
  const { regex, modules } = targetsForFile(adapter, base);
  const siteOptions = [...adapter.sites.values()].map(({ options }) => options);
  return {
    ...method.toPeft(adapter.options, modules, siteOptions),
    auto_mapping: null,
    base_model_name_or_path: base.name,
    modules_to_save: null,
    peft_type: method.peftType,
    revision: null,
    target_modules: regex ?? modules,
    // Not every method of PEFT knows the key.
    ...(regex !== null && targets.exclude.length > 0 ? { exclude_modules: targets.exclude } : {}),
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
  const picked = architecture
    .sites(config)
    .filter((site) => names.some((name) => matchSuffix(name, site.name)));
  return { regex: null, modules: picked.length * config.numLayers === paths.length ? names : paths };
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
  const adapter = await attach(base, { method, options, targets }, new Random(0));
  checkCodes(path, adapter, metadata);
  fill(path, adapter, tensors);
  return { adapter, chatTemplateHash: metadata[TEMPLATE_KEY] ?? null };
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

/** The tensors of an adapter that its file holds, by their names there; views. */
function savedTensors(adapter: Adapter): Map<string, HostTensor<"float32">> {
  const saved = new Map<string, HostTensor<"float32">>();
  for (const { name } of adapter.parameters)
    saved.set(PREFIX + name, adapter.tensor(name) as HostTensor<"float32">);
  for (const { path, frozen } of adapter.sites.values()) {
    for (const { suffix, shared, saved: isSaved } of frozen) {
      if (!isSaved) continue;
      const [key, name] = shared ? [suffix, SHARED_PREFIX + suffix] : [`${path}.${suffix}`];
      saved.set(name ?? PREFIX + key, adapter.frozen.get(key) as HostTensor<"float32">);
    }
  }
  return saved;
}

/** Copies tensors into an adapter. @throws FormatError, UsageError as `readAdapter`. */
function fill(path: string, adapter: Adapter, tensors: ReadonlyMap<string, HostTensor<"float32">>): void {
  const own = savedTensors(adapter);
  const missing = [...own.keys()].filter((name) => !tensors.has(name));
  const surplus = [...tensors.keys()].filter((name) => !own.has(name));
  const misshaped = [...own].flatMap(([name, { shape }]) => {
    const found = tensors.get(name)?.shape;
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
  for (const [name, { data }] of own) data.set((tensors.get(name) as HostTensor<"float32">).data);
}

/** Puts the numbers of a saved run, adapter folder or model, back into an adapter of the same settings. */
export async function restoreAdapter(path: string, adapter: Adapter): Promise<void> {
  if (isAdapterMethod(adapter)) {
    fill(path, adapter, (await readAdapterFolder(path)).tensors);
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
