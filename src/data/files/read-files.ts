/**
 * @file Reads data files, one after another, into one part of a data set.
 *
 * Large files are read in a thread and kept in the cache, if the caller says what tokenizer and template were made from: a
 * thread has to make its own. Small files are read in the calling thread, since starting another would take longer.
 */
import { join } from "node:path";
import type { Environment } from "../../environment.ts";
import { homeFolderOf } from "../../hub/models-folder.ts";
import type { ToolsOrigin } from "../chat/text-tools.ts";
import { type DataPart, type DatasetOptions, IN_MEMORY } from "../dataset.ts";
import type { DataKindName, DataUnits } from "../examples/data-kinds.ts";
import { unpackUnits } from "../examples/packed-units.ts";
import { findFileKind, withoutCompression } from "../formats/file-kinds.ts";
import { reportOn, type RowCounts, sumCounts } from "../reports/data-report.ts";
import { type DataContent, openContent, readContent } from "./data-content.ts";
import { type ReadUnits, readInThread } from "./read-in-thread.ts";
import { cacheKey, readCached, writeCached } from "./unit-cache.ts";

/** Progress of reading a file. */
export interface ReadingProgress {
  readonly file: string;
  readonly numRows: number;
  /** Null: not known before the end. */
  readonly totalRows: number | null;
}

/** Options of reading data sets from the disk. */
export interface ReadOptions<K extends DataKindName = "text"> extends DatasetOptions<K> {
  /** What tokenizer and template were made from; without it, everything is read in this thread. */
  readonly origin?: ToolsOrigin;
  /** Stops reading: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ReadingProgress) => void) | undefined;
  /** Folder for the units of large files; null: they are not kept. Default: the one in graft's home, from `env`. */
  readonly cacheFolder?: string | null;
  /** Environment to read settings from. Default: the process's own. */
  readonly env?: Environment | undefined;
  /** Size in bytes from which a file counts as large. */
  readonly largeBytes?: number;
  /** Called with each file that is read, and its SHA-256. */
  readonly onFile?: ((path: string, sha256: string) => void) | undefined;
  /** Called with a sentence for each file of a folder that is not read. */
  readonly onSkipped?: ((note: string) => void) | undefined;
}

/** About as much text as a model's tokenizer encodes in a second. */
const LARGE_BYTES = 1 << 20;
/** How much larger the text of a compressed file is than the file. */
const PACKED_FACTOR = 4;

/** Reads files one after another into one part; faulty rows are counted in its report. */
export async function readFiles<K extends DataKindName>(
  files: readonly (string | DataContent)[],
  options: ReadOptions<K>,
): Promise<DataPart<DataUnits[K]>> {
  const examples: DataUnits[K][] = [];
  const counts: RowCounts[] = [];
  for (const file of files) {
    const content = typeof file === "string" ? await openContent(file, { orFolder: true }) : file;
    if (typeof file === "string") options.onFile?.(file, content.sha256);
    counts.push(await readOne(content, options, (unit) => void examples.push(unit)));
  }
  return { examples, report: reportOn(examples, sumCounts(counts)) };
}

async function readOne<K extends DataKindName>(
  content: DataContent,
  options: ReadOptions<K>,
  keep: (unit: DataUnits[K]) => void,
): Promise<RowCounts> {
  const {
    origin,
    signal,
    onProgress,
    cacheFolder,
    env = process.env,
    largeBytes = LARGE_BYTES,
    onFile: _onFile,
    onSkipped: _onSkipped,
    ...how
  } = options;
  signal?.throwIfAborted();
  if (origin === undefined || sizeOf(content) < largeBytes)
    return await readContent(content, how, keep, () => signal?.throwIfAborted());
  const { tokenizer: _tokenizer, template: _template, ...plain } = how;
  const job = { content, origin, options: plain };
  const folder = cacheFolder === undefined ? join(homeFolderOf(env), "data") : cacheFolder;
  const key = folder === null ? null : cacheKey(job);
  let read: ReadUnits | null = folder === null ? null : await readCached(folder, key!);
  if (read === null) {
    const onRows = (numRows: number, totalRows: number | null): void =>
      onProgress?.({ file: content.file, numRows, totalRows });
    read = await readInThread(job, { signal, onRows });
    if (folder !== null) await writeCached(folder, key!, read);
  }
  for (const packed of read.packed)
    for (const unit of unpackUnits(packed, content.file)) keep(unit as DataUnits[K]);
  return withFile(read.counts, content.file);
}

/** Estimates the bytes of text in some content. */
function sizeOf({ bytes, file }: DataContent): number {
  const kind = findFileKind(file);
  const isPacked =
    (kind !== null && kind.parse === null && kind.parseBytes !== null) || withoutCompression(file) !== file;
  return isPacked && file !== IN_MEMORY ? bytes.length * PACKED_FACTOR : bytes.length;
}

/** Sets the file name of faults: cached counts of equal content may come from a file of another name. */
function withFile(counts: RowCounts, file: string): RowCounts {
  const faults = counts.faults.map((fault) => ({
    ...fault,
    places: fault.places.map(({ line }) => ({ file, line })),
  }));
  return { ...counts, faults };
}
