/**
 * @file Source: the Hugging Face hub, or a mirror of it (`HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`).
 *
 * The library lists the repository; the bytes are fetched here, since its own download cannot resume.
 */
import { rm, readdir } from "node:fs/promises";
import { join } from "node:path";

import { HubApiError, listFiles, type ListFileEntry } from "@huggingface/hub";

import { entryFolder } from "./cache.ts";
import { download } from "./download.ts";
import { fetchReason, Watchdog } from "./reach.ts";
import { unreachable, UnreachableError, type Source, type SourceContext } from "./source.ts";
import { makeFolder } from "./staging.ts";

const OTHER_FILES = new Set([
  "config.json",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
  "generation_config.json",
  "special_tokens_map.json",
]);
const MODEL_SHARD = /^model(-\d+-of-\d+)?\.safetensors$/;

/** Chooses the files that graft reads, small ones first; other spellings of the same weights are left out. */
function chooseFiles(entries: readonly ListFileEntry[]): ListFileEntry[] {
  const weights = entries.filter((entry) => entry.path.endsWith(".safetensors"));
  const shards = weights.filter((entry) => MODEL_SHARD.test(entry.path));
  const others = entries.filter((entry) => OTHER_FILES.has(entry.path));
  return [...others, ...(shards.length > 0 ? shards : weights)];
}

function authorization(env: NodeJS.ProcessEnv): Record<string, string> {
  return env["HF_TOKEN"] ? { authorization: `Bearer ${env["HF_TOKEN"]}` } : {};
}

/** Lists the top folder of a repository. */
async function listRepository(
  repository: string,
  revision: string,
  endpoint: string,
  context: SourceContext,
): Promise<readonly ListFileEntry[]> {
  using watchdog = new Watchdog(context.timeoutMs);
  const signal = AbortSignal.any([context.signal, watchdog.signal]);
  // The token goes in by hand: the library refuses tokens of mirrors, which need not start with hf_.
  const guardedFetch: typeof fetch = (input, init) =>
    fetch(input, {
      ...init,
      headers: { accept: "application/json", ...authorization(context.env) },
      signal,
    });
  const entries: ListFileEntry[] = [];
  try {
    const pages = listFiles({
      repo: { type: "model", name: repository },
      revision: encodeURIComponent(revision),
      hubUrl: endpoint,
      fetch: guardedFetch,
    });
    for await (const entry of pages) {
      watchdog.feed();
      if (entry.type === "file") entries.push(entry);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    if (error instanceof SyntaxError) throw new UnreachableError(`${endpoint} does not answer as a hub`);
    if (!(error instanceof HubApiError)) throw fetchReason(error);
    const { statusCode } = error;
    if (statusCode === 404) throw new UnreachableError(`HTTP 404, no such model or revision at ${endpoint}`);
    const isDenied = statusCode === 401 || statusCode === 403;
    throw new UnreachableError(
      isDenied
        ? `HTTP ${statusCode}, no such model or it needs HF_TOKEN`
        : `HTTP ${statusCode} from ${endpoint}`,
    );
  }
  return entries;
}

/** Fetches the chosen files into `folder` and removes what does not belong to them. */
async function fetchFiles(
  folder: string,
  files: readonly ListFileEntry[],
  urlOf: (path: string) => string,
  context: SourceContext,
): Promise<void> {
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  let doneBytes = 0;
  for (const file of files) {
    const report = (bytes: number): void =>
      context.onProgress({
        source: hub.name,
        file: file.path,
        receivedBytes: doneBytes + bytes,
        totalBytes,
      });
    report(0);
    const digest =
      file.lfs !== undefined
        ? ({ algorithm: "sha256", hex: file.lfs.oid } as const)
        : file.oid !== undefined
          ? ({ algorithm: "git-sha1", hex: file.oid } as const)
          : null;
    await download(
      join(folder, file.path),
      { url: urlOf(file.path), headers: authorization(context.env), sizeBytes: file.size, digest },
      { signal: context.signal, timeoutMs: context.timeoutMs, onBytes: report },
    );
    doneBytes += file.size;
    report(0);
  }
  const wanted = new Set(files.map((file) => file.path));
  const surplus = (await readdir(folder)).filter((name) => !wanted.has(name));
  for (const name of surplus) await rm(join(folder, name), { recursive: true, force: true });
}

/** Finds models on the hub and copies them into the cache. */
export const hub: Source = {
  name: "Hugging Face hub",
  async find(model, context) {
    if (model.repository === null) return null;
    if (/^(1|true|yes|on)$/i.test(context.env["HF_HUB_OFFLINE"] ?? "")) {
      return unreachable("HF_HUB_OFFLINE is set");
    }
    const { repository } = model;
    const revision = model.revision ?? "main";
    const endpoint = (context.env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, "");
    try {
      const files = chooseFiles(await listRepository(repository, revision, endpoint, context));
      if (!files.some((file) => file.path === "config.json"))
        return unreachable("it has no config.json there");
      if (!files.some((file) => file.path.endsWith(".safetensors"))) {
        return unreachable("it has no .safetensors files there");
      }
      const target = entryFolder(context.modelsFolder, repository, model.revision);
      const urlOf = (path: string): string =>
        `${endpoint}/${repository}/resolve/${encodeURIComponent(revision)}/${path}`;
      await makeFolder(target, "hub", (folder) => fetchFiles(folder, files, urlOf, context));
      return { kind: "found", path: target };
    } catch (error) {
      if (error instanceof UnreachableError) return unreachable(error.message);
      throw error;
    }
  },
};
