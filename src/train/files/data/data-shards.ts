/**
 * @file Splits data into one part for each of several trainings. Rows are dealt out in rotation; plain text is cut at line ends.
 */
import { join } from "node:path";
import { openContent, rowsOf } from "../../../data/files/data-content.ts";
import { decodeUtf8 } from "../../../data/formats/utf8.ts";
import { UsageError } from "../../../errors.ts";
import { writeTextAtomic } from "../../../format/files/atomic.ts";
import { disk } from "../../../format/files/disk/calls.ts";
import { Random } from "../../../random.ts";

/** File extensions. */
const [TEXT, LINES] = ["txt", "jsonl"];

/**
 * Writes the parts: a file's rows, shuffled by a seed and dealt out, or pieces of its text. Returns their paths in order.
 * @throws FormatError, UsageError "usage/data" for a bad row, and for fewer rows than parts
 */
export async function writeShards(
  path: string,
  folder: string,
  numShards: number,
  seed: number,
): Promise<string[]> {
  const content = await openContent(path);
  const rows = rowsOf(content, {});
  const parts =
    rows === null
      ? cut(decodeUtf8(content.bytes, path), numShards)
      : deal(await linesOf(rows), numShards, new Random(seed));
  if (parts.some((part) => part === "")) {
    throw new UsageError(
      "usage/data",
      `Cannot split "${path}" among ${numShards} workers: it has too few rows`,
      { hint: "Use fewer workers." },
    );
  }
  const paths = parts.map((_, i) => join(folder, `${partName(i)}.${rows === null ? TEXT : LINES}`));
  for (const [i, part] of parts.entries()) await writeTextAtomic(paths[i]!, part);
  return paths;
}

/** The path of a part that was written. */
export async function findShard(folder: string, shard: number): Promise<string> {
  const names = await disk().readdir(folder);
  return join(folder, `${partName(shard)}.${names.includes(`${partName(shard)}.${TEXT}`) ? TEXT : LINES}`);
}

function partName(shard: number): string {
  return `part-${shard}`;
}

async function linesOf(rows: NonNullable<ReturnType<typeof rowsOf>>): Promise<string[]> {
  const lines: string[] = [];
  for await (const row of rows) {
    if ("fault" in row) throw row.fault;
    lines.push(JSON.stringify(row.value));
  }
  return lines;
}

function deal(lines: readonly string[], numShards: number, random: Random): string[] {
  const shards = Array.from({ length: numShards }, () => "");
  for (const [i, line] of random.shuffle([...lines]).entries()) shards[i % numShards] += `${line}\n`;
  return shards;
}

function cut(text: string, numShards: number): string[] {
  const lines = text.split(/(?<=\n)/);
  const size = lines.length / numShards;
  return Array.from({ length: numShards }, (_, i) =>
    lines.slice(Math.round(i * size), Math.round((i + 1) * size)).join(""),
  );
}
