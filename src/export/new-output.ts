/**
 * @file Checks, before any work, that a model may be written to a path: it is new, fits the format, and is outside of what is
 * read.
 */
import { UsageError } from "../errors.ts";
import { systemCode, toFailedWrite } from "../messages/system-error.ts";
import { disk } from "../format/files/disk/calls.ts";
import { isLock } from "../format/files/disk/folder-lock.ts";
import { liesIn } from "../format/files/disk/lies-in.ts";
import { notNew, refuseTilde } from "../format/files/disk/new-folder.ts";
import { isAbandoned } from "../format/files/disk/temporaries.ts";
import { GGUF_ENDING, type ModelFormat } from "../format/checkpoint/checkpoint.ts";

function refuse(path: string, found: string, expected: string, hint: string): UsageError {
  return new UsageError("usage/output", `Cannot write to output "${path}": ${found}, expected ${expected}`, {
    hint,
  });
}

/**
 * What exists at a path: names in a folder (without locks and unfinished files, which writing handles), "file", or null for
 * nothing.
 * @throws FailedError failed/write
 */
async function look(path: string): Promise<readonly string[] | "file" | null> {
  try {
    return (await disk().readdir(path)).filter((name) => !isAbandoned(name) && !isLock(name));
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") return null;
    if (code === "ENOTDIR") return "file";
    throw toFailedWrite(error, path);
  }
}

/**
 * Checks an output of a format; `inputs`: folders and files that are read, by their names in messages.
 * @throws UsageError "usage/output"; FailedError failed/write when the path cannot be examined
 */
export async function requireNewOutput(
  path: string,
  format: ModelFormat,
  inputs: Readonly<Record<string, string>>,
): Promise<void> {
  refuseTilde(path);
  const isGguf = path.endsWith(GGUF_ENDING);
  if (isGguf !== (format === "gguf")) {
    const [found, expected, hint] = isGguf
      ? [
          `its name ends in ${GGUF_ENDING}`,
          "a folder",
          `Remove the ending, or request a file with --to gguf.`,
        ]
      : [
          "it has another name",
          `a file whose name ends in ${GGUF_ENDING}`,
          `Append ${GGUF_ENDING}, or request a folder: merge --to hf, convert --to peft.`,
        ];
    throw refuse(path, found, expected, hint);
  }
  for (const [what, input] of Object.entries(inputs)) {
    if (!liesIn(path, input)) continue;
    throw refuse(
      path,
      `it is inside the ${what} "${input}"`,
      "a separate location",
      "Choose another output.",
    );
  }
  const found = await look(path);
  if (found === null || (format !== "gguf" && Array.isArray(found) && found.length === 0)) return;
  const there = found === "file" ? "a file already exists or is in the way" : "it is not empty";
  if (format !== "gguf") throw notNew(path, there);
  throw refuse(path, there, "a new file", "Choose another output, or delete the existing one.");
}
