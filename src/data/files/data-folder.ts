/**
 * @file Decides which files of a folder are trained on and which are held out, by a word in their names, as on the hub.
 *
 * `train.jsonl`, `data/train-00000-of-00001.parquet` and `train/part1.csv` belong to the training part. If no file has such a
 * word, all of them do. Of files whose names differ only in their ending, the likeliest is read, and the caller is told of the
 * others. Runs, adapters and models in subfolders are skipped, so that a user who trains in the folder of the data can do so
 * again.
 */
import { type Dirent, readdirSync, realpathSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { UsageError } from "../../errors.ts";
import { describeNames } from "../../format/contents.ts";
import { isLock } from "../../format/files/disk/folder-lock.ts";
import { isTemporary } from "../../format/files/disk/temporaries.ts";
import { listFirst } from "../../messages/problems.ts";
import { toFailedRead } from "../../messages/system-error.ts";
import {
  DATA_ENDINGS,
  FILE_KINDS,
  findFileKind,
  isPlainText,
  withoutCompression,
} from "../formats/file-kinds.ts";

/** Paths of the files of each part, in order. */
interface DataFiles {
  readonly train: readonly string[];
  readonly valid: readonly string[];
  readonly test: readonly string[];
  /** Sentences on data files that belong to no part. */
  readonly skipped: readonly string[];
}

type PartName = "train" | "valid" | "test";

/** What the files of each part are for, in messages. */
const PART_USES: Readonly<Record<PartName, string>> = {
  train: "trained on",
  valid: "held out",
  test: "for tests",
};

const PART_OF: ReadonlyMap<string, PartName> = new Map([
  ["train", "train"],
  ["training", "train"],
  ["valid", "valid"],
  ["validation", "valid"],
  ["val", "valid"],
  ["dev", "valid"],
  ["test", "test"],
  ["testing", "test"],
  ["eval", "test"],
  ["evaluation", "test"],
]);

/** Files about the data, which are not data: matched by whole names, since `notice-period.md` may be a text to train on. */
const NO_DATA = /^(readme|(license|licence|notice|changelog|dataset_infos?)(\.|$)|\.|__)/i;
const MAX_LISTED = 4;

/**
 * Finds the data files of a path, a file or folder.
 * @throws UsageError "usage/data" for a folder that has none of the parts in `needed`, or several data sets
 */
export function findDataFiles(path: string, needed: readonly PartName[] = ["train"]): DataFiles {
  if (!isFolder(path)) return { train: [path], valid: [], test: [], skipped: [] };
  refuseOtherFolders(path);
  const all = listFiles(startAt(path));
  const { chosen, skipped } = likeliestOf(all.filter(isData));
  const files = placesOf(chosen);
  const named = files.find(({ part }) => part !== null);
  const of = (part: PartName): string[] =>
    files
      .filter((file) => (named ? file.part === part : part === "train"))
      .map(({ name }) => join(path, name));
  const sets = [...new Set(files.flatMap(({ part, set }) => (part === "train" ? [set] : [])))];
  if (sets.length > 1) {
    throw new UsageError(
      "usage/data",
      `Cannot read data set "${path}": it contains ${sets.length} data sets, ${sets.map((set) => `"${set}"`).join(", ")}, expected one`,
      { hint: "Give the folder of one of them." },
    );
  }
  if (needed.every((part) => of(part).length === 0)) {
    const found = named ? `: by its name, "${named.name}" is ${PART_USES[named.part!]}` : "";
    throw new UsageError(
      "usage/data",
      `Cannot read data set "${path}": the folder has no training file${found}, expected train.jsonl or other files that end in ${DATA_ENDINGS.join(", ")}`,
      { hint: "Give the file itself, or rename it." },
    );
  }
  const others = named ? files.flatMap(({ name, part }) => (part === null ? [name] : [])) : [];
  if (others.length > 0) {
    skipped.push(
      `Files of data set "${path}" are not read: ${listFirst(others, MAX_LISTED)}. No word in their names says what they are for, as in ${named!.name}. To train on them, rename them.`,
    );
  }
  const unknown = all.filter((name) => !isData(name));
  if (unknown.length > 0) {
    skipped.push(
      `Files of data set "${path}" are not read: ${listFirst(unknown, MAX_LISTED)}. Their names end in none of ${DATA_ENDINGS.join(", ")}.`,
    );
  }
  return { train: of("train"), valid: of("valid"), test: of("test"), skipped };
}

/** Refuses folders of models, adapters and runs, whose settings files look like data. @throws UsageError "usage/data" */
function refuseOtherFolders(path: string): void {
  const names = entriesOf(path).map(({ name }) => name);
  refuseStrayModel(path, names);
  const { what, hint, kind } = describeNames(path, names);
  if (kind !== "model" && kind !== "adapter" && kind !== "run") return;
  throw new UsageError(
    "usage/data",
    `Cannot read data set "${path}": it is ${what}, expected a folder of data`,
    {
      hint,
    },
  );
}

/** Refuses data beside a model's file: it is unclear which of them is meant. @throws UsageError "usage/data" */
function refuseStrayModel(path: string, names: readonly string[]): void {
  const stray = names.find((name) => name.endsWith(".gguf"));
  if (stray === undefined || names.includes("config.json")) return;
  const data = listFiles(startAt(path)).find(isData);
  if (data === undefined) return;
  throw new UsageError(
    "usage/data",
    `Cannot read data set "${path}": "${stray}" next to the data is a model, expected a folder with only data`,
    { hint: `Give the data file itself, such as ${join(path, data)}, or move "${stray}" elsewhere.` },
  );
}

/** Whether a path is an existing folder. False if it cannot be examined: reading it later reports why. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Lists the entries of a folder. @throws FormatError "format/file" */
function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    throw toFailedRead(error, path);
  }
}

/** The position of a walk through a folder. */
interface Place {
  readonly root: string;
  /** The current folder, relative to the root. */
  readonly below: string;
  /** Real paths of the folders that contain it: a link to one of them would be a circle. */
  readonly above: readonly string[];
}

const startAt = (root: string): Place => ({ root, below: "", above: [] });

/** Separates the folders at a place from other names, following links; leaves out folders that trainings made. */
function lookInto({ root, below, above }: Place, names: readonly string[]) {
  const within = [...above, realpathSync(join(root, below))];
  const paths = names.map((name) => join(below, name));
  const folders = paths.filter((name) => isFolder(join(root, name)));
  const inside = folders.filter(
    (name) => !within.includes(realpathSync(join(root, name))) && !isMade(join(root, name)),
  );
  return {
    files: paths.filter((name) => !folders.includes(name)),
    folders: inside.map((below): Place => ({ root, below, above: within })),
  };
}

/** Files below a folder that may hold data, whatever their names end in, in order of their names. */
function listFiles(place: Place): string[] {
  const path = join(place.root, place.below);
  const entries = entriesOf(path);
  refuseArrow(path, entries);
  const names = entries.map(({ name }) => name).filter((name) => !NO_DATA.test(name));
  const { files, folders } = lookInto(place, names.toSorted());
  return [...files, ...folders.flatMap(listFiles)];
}

const isData = (name: string): boolean => findFileKind(name) !== null;

/** Chooses the likeliest of files of one name with several endings; `skipped`: sentences on the others. */
function likeliestOf(names: readonly string[]): { readonly chosen: string[]; readonly skipped: string[] } {
  const stems = new Map<string, string>();
  for (const name of names) {
    const other = stems.get(stemOf(name));
    if (other === undefined || rank(name) < rank(other)) stems.set(stemOf(name), name);
  }
  const skipped = names.flatMap((name) => {
    const other = stems.get(stemOf(name));
    return other === name ? [] : [`${name} is not read: ${other} has the same name with another ending.`];
  });
  return { chosen: [...stems.values()], skipped };
}

/** Whether a training made a folder: it is a run, an adapter, or a model with its weights. */
function isMade(path: string): boolean {
  const names = entriesOf(path).map(({ name }) => name);
  const { kind } = describeNames(path, names);
  if (kind === "model") return names.some((name) => name.endsWith(".safetensors"));
  return kind === "adapter" || kind === "run";
}

/** Names of all files below a folder of data, except what trainings made there. @throws FormatError "format/file" */
export function namesBelow(root: string): string[] {
  return namesAt(startAt(root));
}

function namesAt(place: Place): string[] {
  const names = entriesOf(join(place.root, place.below)).map(({ name }) => name);
  const { files, folders } = lookInto(
    place,
    names.filter((name) => !isLock(name) && !isTemporary(name)),
  );
  return [...files, ...folders.flatMap(namesAt)];
}

/**
 * Refuses folders written by `save_to_disk` of Python's datasets, whose settings files look like data.
 * @throws UsageError "usage/data"
 */
function refuseArrow(path: string, entries: readonly Dirent[]): void {
  const arrow = entries.find(({ name }) => name.endsWith(".arrow"));
  if (arrow === undefined || !entries.some(({ name }) => name === "state.json")) return;
  throw new UsageError(
    "usage/data",
    `Cannot read data set "${path}": it is a folder of Arrow files from Python's datasets, with ${arrow.name}, expected files that end in ${DATA_ENDINGS.join(", ")}`,
    {
      hint: `Convert it to Parquet in Python: datasets.load_from_disk("${path}").to_parquet("train.parquet").`,
    },
  );
}

function stemOf(name: string): string {
  const plain = withoutCompression(name);
  const ending = DATA_ENDINGS.find((end) => plain.toLowerCase().endsWith(end)) ?? "";
  return plain.slice(0, plain.length - ending.length);
}

/** Index in the list of kinds; of one kind, uncompressed files come first. */
function rank(name: string): number {
  const kind = findFileKind(name);
  return FILE_KINDS.findIndex((one) => one === kind) * 2 + (withoutCompression(name) === name ? 0 : 1);
}

/** A file with its part (null: none) and the folder of its data set. */
interface PlacedFile {
  readonly name: string;
  readonly part: PartName | null;
  readonly set: string;
}

/**
 * Finds the parts of files. A text is often named after its subject (`training-guide.md`), so a word of a text's name counts as
 * a part only if all files have such a word (`wiki.train.txt`); otherwise only a whole name does.
 */
function placesOf(names: readonly string[]): PlacedFile[] {
  const placed = names.map((name) => placeOf(name, false));
  return placed.every(({ part }) => part !== null)
    ? placed
    : names.map((name) => placeOf(name, isPlainText(findFileKind(name)!)));
}

/** Finds the part of a file by the first step of its path that names one; `asWhole`: with no other word in that step. */
function placeOf(name: string, asWhole: boolean): PlacedFile {
  const steps = name.split(/[/\\]/);
  for (const [i, step] of steps.entries()) {
    const stem = i === steps.length - 1 ? basename(stemOf(step)) : step;
    const words =
      stem
        .toLowerCase()
        .match(/[a-z]+/g)
        ?.filter((word) => word !== "of") ?? [];
    const part = words.map((word) => PART_OF.get(word)).find((found) => found !== undefined);
    if (part !== undefined && !(asWhole && words.length > 1))
      return { name, part, set: steps.slice(0, i).join("/") };
  }
  return { name, part: null, set: "" };
}
