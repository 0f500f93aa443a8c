/**
 * @file The list of a repository's files, as a hub gives it. It is not trusted: every entry is checked, and the number of pages,
 * bytes and the time are limited.
 */
import { z } from "zod";

import type { Digest } from "./digest.ts";
import type { Endpoint } from "./endpoint.ts";
import { lazily } from "../../messages/arguments.ts";
import { bodyOf, fetchReason, Watchdog } from "./reach.ts";
import { UnreachableError, type SourceContext } from "../source.ts";

export interface ListedFile {
  /** A name without slashes, relative to the listed folder. */
  readonly name: string;
  readonly sizeBytes: number;
  /** `null` when the hub gives no checksum. */
  readonly digest: Digest | null;
}

/** A file name that is valid on every system. */
export const BARE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}$/;

/** The real hub has 1000 entries per page. */
const MAX_PAGES = 100;
const MAX_LIST_BYTES = 1 << 25;
/** Time limit of the whole list, as a multiple of that for the first byte. */
const LIST_TIME_FACTOR = 12;
/** Larger than any file of a model. */
const MAX_FILE_BYTES = 2 ** 41;

/** A checksum with this many digits. */
export function hexSchema(length: number): z.ZodString {
  return z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));
}

/** The fields that are read of a file's entry. */
const FILE = lazily(() => {
  const size = z.int().min(0).max(MAX_FILE_BYTES);
  return z.object({
    type: z.literal("file"),
    path: z.string().min(1),
    size,
    oid: hexSchema(40).optional(),
    lfs: z.object({ oid: hexSchema(64), size }).optional(),
  });
});
/** What a page of the list may contain. */
const PAGE = lazily(() =>
  z.array(z.union([FILE(), z.object({ type: z.enum(["directory", "unknown"]), path: z.string() })])),
);
type Page = z.output<ReturnType<typeof PAGE>>;

/** Quotes a text of the hub on one line, shortened. */
function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text).replaceAll(/[^ -~…]/g, "?");
}

function parsePage(bytes: Buffer, { url }: Endpoint): Page {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new UnreachableError(`${url} does not answer like a hub`);
  }
  const parsed = PAGE().safeParse(value);
  if (parsed.success) return parsed.data;
  const place = parsed.error.issues[0]?.path.map(String).join(".") ?? "";
  throw new UnreachableError(
    `${url} does not answer like a hub: entry ${quote(place)} of its list is not a file entry`,
  );
}

/** The address of the next page, if there is one. */
function nextPage(link: string | null, from: string): string | null {
  const target = /<([^<>]*)>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
  if (target === undefined) return null;
  const url = URL.canParse(target, from) ? new URL(target, from) : null;
  const isUsable = url !== null && (url.protocol === "https:" || url.protocol === new URL(from).protocol);
  if (!isUsable) throw new UnreachableError("its list continues at an invalid address");
  return url.href;
}

function refusal(status: number, { url }: Endpoint): UnreachableError {
  if (status === 404) return new UnreachableError(`HTTP 404, no such model or revision at ${url}`);
  return new UnreachableError(
    status === 401 || status === 403
      ? `HTTP ${status}, no such model, or it needs HF_TOKEN`
      : `HTTP ${status} from ${url}`,
  );
}

/** The files of a folder of a repository, and the names of its folders and of files below these. */
interface ListedFolder {
  readonly files: readonly ListedFile[];
  readonly folders: readonly string[];
  readonly inFolders: readonly string[];
}

/** Checks the entries of all pages together and converts them. */
function toFiles(entries: Page, folder: string): ListedFolder {
  const folders = entries.flatMap(({ type, path }) => (type === "directory" ? path : []));
  const [files, inFolders]: [Map<string, ListedFile>, string[]] = [new Map(), []];
  for (const entry of entries) {
    if (entry.type !== "file") continue;
    const { path: name, size: sizeBytes, oid, lfs } = entry;
    const parts = name.split("/");
    if (parts.some((part) => part === "" || part === "." || part === "..") || /[\\\0]/.test(name)) {
      throw new UnreachableError(`its list has a file ${quote(name)}, expected names inside the repository`);
    }
    const isOwn = name.startsWith(folder) && BARE_NAME.test(name.slice(folder.length));
    if (!isOwn && parts.length > 1) inFolders.push(name);
    if (!isOwn) continue;
    if (files.has(name)) throw new UnreachableError(`its list has the file ${quote(name)} twice`);
    if (lfs !== undefined && lfs.size !== sizeBytes) {
      throw new UnreachableError(`its list has two sizes for the file ${quote(name)}`);
    }
    const digest: Digest | null =
      lfs !== undefined
        ? { algorithm: "sha256", hex: lfs.oid }
        : oid !== undefined
          ? { algorithm: "git-sha1", hex: oid }
          : null;
    files.set(name, { name, sizeBytes, digest });
  }
  return { files: [...files.values()], folders, inFolders };
}

interface RemoteFolder {
  readonly repository: string;
  readonly revision: string;
  /** Path of the folder in the repository; the top folder unless given. */
  readonly folder?: string;
}

/**
 * Lists a folder of a repository, and names what is below it.
 * @throws UnreachableError when the list does not arrive or is invalid
 */
export async function listRepository(
  { repository, revision, folder = "" }: RemoteFolder,
  endpoint: Endpoint,
  context: SourceContext,
): Promise<ListedFolder> {
  using watchdog = new Watchdog(context, context.timeoutMs * LIST_TIME_FACTOR);
  const signal = AbortSignal.any([context.signal, watchdog.signal]);
  const entries: Page[number][] = [];
  const path = `/api/models/${repository}/tree/${encodeURIComponent(revision)}${folder === "" ? "" : `/${folder}`}`;
  let url: string | null = `${endpoint.url}${path}?recursive=false&expand=false`;
  let freeBytes = MAX_LIST_BYTES;
  try {
    for (let numPages = 1; url !== null; numPages++) {
      if (numPages > MAX_PAGES) throw new UnreachableError(`its list has more than ${MAX_PAGES} pages`);
      const headers = { accept: "application/json", ...endpoint.headersFor(url) };
      const response = await fetch(url, { headers, signal });
      if (!response.ok) {
        await response.body?.cancel();
        throw refusal(response.status, endpoint);
      }
      const bytes = await bodyOf(response, freeBytes, watchdog);
      freeBytes -= bytes.length;
      entries.push(...parsePage(bytes, endpoint));
      url = nextPage(response.headers.get("link"), url);
    }
  } catch (error) {
    context.signal.throwIfAborted();
    throw fetchReason(error);
  }
  return toFiles(entries, folder === "" ? "" : `${folder}/`);
}
