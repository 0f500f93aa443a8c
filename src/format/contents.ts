/** @file Finds out what a folder or file is. If something else was expected, messages tell what it is and where it belongs. */
import { listFirst } from "../messages/problems.ts";
import { FormatError } from "../errors.ts";
import { type Folder, pathIn, readJsonIfPresent } from "./files/folder.ts";
import { checkpointFolder, checkpointSteps } from "./run-checkpoints.ts";

/** What a given folder or file is. */
interface Contents {
  readonly kind: "adapter" | "model" | "run" | "data" | "other";
  /** In words, such as `an adapter (LORA)`. */
  readonly what: string;
  /** Where to give it. */
  readonly hint: string;
}

const ADAPTER_CONFIG = "adapter_config.json";
const WEIGHTS = /\.(safetensors|gguf)$/;
const DATA = /^(train|valid|validation|test)\.(jsonl|json|txt)$|-images-idx3-ubyte(\.gz)?$/;
const MAX_LISTED = 4;

const AS_MODEL = "Give it as model (--model)";
const CHECK_PATH = "Check the path.";
const CHECK_DOWNLOAD = "Check that the download is complete.";
const AS_DATA = "Give it as data (--data).";

/** Describes a folder by the names in it. */
export function describeNames(path: string, names: readonly string[]): Contents {
  if (names.includes(ADAPTER_CONFIG))
    return {
      kind: "adapter",
      what: "an adapter",
      hint: "Give it as adapter (--adapter), together with the model it was made for.",
    };
  if (names.some((name) => name.startsWith("adapter_model.")))
    return { kind: "adapter", what: `an adapter without ${ADAPTER_CONFIG}`, hint: CHECK_DOWNLOAD };
  if (names.includes("adapters.safetensors"))
    return {
      kind: "adapter",
      what: "an adapter of mlx-lm",
      hint: "Convert it to a peft folder with graft convert --to peft.",
    };
  if (names.includes("config.json") || names.some((name) => name.endsWith(".gguf"))) {
    if (!names.some((name) => WEIGHTS.test(name)))
      return { kind: "model", what: "a model folder without weights", hint: CHECK_DOWNLOAD };
    return {
      kind: "model",
      what: "a whole model",
      hint: `${AS_MODEL}; a whole model needs no merging and runs without an adapter.`,
    };
  }
  const run = describeRun(path, names);
  if (run) return run;
  if (names.some((name) => DATA.test(name))) return { kind: "data", what: "a data folder", hint: AS_DATA };
  if (names.length === 0) return { kind: "other", what: "an empty folder", hint: CHECK_PATH };
  const inner = names.find((name) => WEIGHTS.test(name));
  return {
    kind: "other",
    what: `a folder with ${listFirst(names, MAX_LISTED)}`,
    hint: inner === undefined ? CHECK_PATH : "Check that the download is complete: config.json is missing.",
  };
}

/** Describes the folder of a run by the names of its checkpoints; null: there are none. */
function describeRun(path: string, names: readonly string[]): Contents | null {
  const steps = checkpointSteps(names);
  const last = steps.at(-1);
  if (last === undefined) return null;
  const newest = pathIn({ path }, checkpointFolder(last));
  return {
    kind: "run",
    what: `a run without a result, with ${steps.length} ${steps.length === 1 ? "checkpoint" : "checkpoints"}`,
    hint: `Continue it with graft train --resume, or give its newest checkpoint, ${newest}.`,
  };
}

/** Describes a folder; an adapter also by its kind and base. @throws FormatError format/file when it cannot be listed */
export async function describeFolder(folder: Folder): Promise<Contents> {
  const names = await folder.names();
  const described = describeNames(folder.path, names);
  if (!names.includes(ADAPTER_CONFIG)) return described;
  const { peft_type: type, base_model_name_or_path: base } =
    (await readJsonIfPresent(folder, ADAPTER_CONFIG)) ?? {};
  return {
    kind: "adapter",
    what: typeof type === "string" ? `an adapter (${type})` : described.what,
    hint:
      typeof base === "string"
        ? `Give it as adapter (--adapter), together with its model "${base}" (--model).`
        : described.hint,
  };
}

/** Describes a file by its name. */
export function describeFileName(path: string): Contents {
  const [, ending = ""] = /\.([A-Za-z0-9]+)$/.exec(path) ?? [];
  const isAdapter = /(^|[/\\])(adapter_(model|config)|adapters)\.[a-z]+$/.test(path);
  switch (ending.toLowerCase()) {
    case "gguf":
      return {
        kind: "model",
        what: "a GGUF file",
        hint: `${AS_MODEL}; graft convert turns one of an adapter into a folder.`,
      };
    case "jsonl":
    case "txt":
      return { kind: "data", what: "a data file", hint: AS_DATA };
    case "json":
      if (!isAdapter)
        return {
          kind: "other",
          what: "a JSON file",
          hint: `${AS_DATA.slice(0, -1)}, or give the model's folder.`,
        };
      break;
    case "yaml":
    case "yml":
      return { kind: "other", what: "a settings file", hint: "Give it as --config." };
    default:
  }
  return isAdapter
    ? { kind: "adapter", what: "a file of an adapter", hint: "Give its folder as adapter (--adapter)." }
    : { kind: "other", what: "a file", hint: "Give the folder that contains it." };
}

/** Makes the error for something that is not what was expected; `action` begins the sentence: `open model`. */
export function wrongContents(
  action: string,
  path: string,
  { what, hint }: Contents,
  expected: string,
): FormatError {
  return new FormatError("format/file", `Cannot ${action} "${path}": it is ${what}, expected ${expected}`, {
    hint,
  });
}
