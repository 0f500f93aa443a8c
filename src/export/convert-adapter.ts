/** @file Converts adapters between the forms of files that other programs read. */
import { basename, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { LoadedModel } from "../format/by-path.ts";
import { readCard } from "../format/cards/read-card.ts";
import { disk } from "../format/files/disk/calls.ts";
import { nodeFolder } from "../format/files/node-folder.ts";
import { ADAPTER_FORMS, ADAPTER_FORM_NAMES, type AdapterFormName } from "./adapter-forms.ts";

/** The form of an adapter; null: there is none at this path. */
export async function formAt(path: string): Promise<AdapterFormName | null> {
  const names = await disk()
    .readdir(path)
    .catch(() => null);
  return ADAPTER_FORM_NAMES.find((name) => ADAPTER_FORMS[name].isAt(path, names)) ?? null;
}

interface ConvertRequest {
  /** Folder or file of the adapter. */
  readonly adapter: string;
  readonly from: AdapterFormName;
  readonly to: AdapterFormName;
  readonly output: string;
  /** The model that the adapter was made for. */
  readonly model: LoadedModel;
  /** Aborts before the adapter is written. */
  readonly signal: AbortSignal;
}

/**
 * Converts an adapter; returns the number of its modules.
 * @throws UsageError "usage/adapter" for one that the form cannot represent, or of another model; FormatError for damaged files;
 * FailedError "failed/write"; the reason of `signal`
 */
export async function convertAdapter(request: ConvertRequest): Promise<number> {
  const { adapter, from, to, output, model, signal } = request;
  const factors = await ADAPTER_FORMS[from].read(adapter, model);
  const isFolder = ADAPTER_FORMS[from].keptIn === "folder";
  const card = isFolder ? await readCard(nodeFolder(adapter)) : null;
  const name = basename(resolve(adapter));
  // Signals of the system are handled only while nothing runs.
  await setImmediate();
  signal.throwIfAborted();
  await ADAPTER_FORMS[to].write(output, factors, model, {
    license: model.checkpoint.license,
    datasets: [],
    facts: [
      ["made by", "graft convert"],
      ["adapter", `${name} (${from})`],
    ],
    settings: null,
    parts: card === null ? [] : [{ name, facts: card.facts }],
  });
  return factors.size;
}
