/** @file Describes errors of the operating system about reading or writing files in graft's words. */
import { FailedError, FormatError } from "../errors.ts";

/** Reads the code of a system error, such as ENOENT; the empty string when there is none. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return typeof code === "string" ? code : "";
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  EISDIR: "it is a folder",
  ENOTDIR: "part of the path is not a folder",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  ELOOP: "links in the path form a loop",
  ENAMETOOLONG: "the path or a name in it is longer than the system allows",
};

/** Describes why something could not be read. */
export function describeFileProblem(error: unknown): string {
  return READING[systemCode(error)] ?? (error instanceof Error ? error.message : String(error));
}

/** Converts a system error of reading `path` into a FormatError; other errors stay as they are. */
export function toFailedRead(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  return new FormatError(
    "format/file",
    `Cannot read file "${path}": ${describeFileProblem(error)}, expected a readable file`,
    { hint: "Check the path, and that the disk is readable.", cause: error },
  );
}

/** Refuses to open something whose content may never end; `stats` describe it. A folder is left to the call that opens it. */
export function refuseEndless(stats: { isFile(): boolean; isDirectory(): boolean }): void {
  if (stats.isFile() || stats.isDirectory()) return;
  throw Object.assign(new Error("it is a device or a pipe"), { code: "ENXIO", syscall: "open" });
}

/** What to do when something could not be written. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: "Free some space on the disk, or choose another output folder.",
  EDQUOT: "Free some of your disk quota, or choose another output folder.",
  EFBIG:
    "The file would exceed the limit of the file system or of ulimit -f: choose an output folder elsewhere, or raise the limit.",
  EACCES: "Choose an output folder that you have permission to write to.",
  EPERM: "Choose an output folder that you have permission to write to.",
  EROFS: "The disk is read-only: choose an output folder elsewhere.",
  ENOTDIR: "Part of the path is a file: choose another output folder.",
  EEXIST: "A file or a broken link has the name of the output folder: choose another one.",
  ELOOP: "Links in the path form a loop: remove them, or choose another output folder.",
  ENAMETOOLONG: "The path or a name in it is longer than the system allows: choose a shorter one.",
  EMFILE: "Let the process open more files: raise ulimit -n.",
  ENXIO: "A pipe or a device has the name of the file: remove it or choose another name.",
  EISDIR: "A folder has the name of the output file: remove it or choose another name.",
  ERR_INVALID_ARG_VALUE:
    "The path contains a character that no path may contain: choose another output folder.",
};

const WRITE_FAULTS: ReadonlySet<string> = new Set([...Object.keys(REMEDIES), "EIO"]);

/** Finds the system error of a full disk in an error or its causes; null if there is none. */
export function findFullDisk(error: unknown): Error | null {
  if (!(error instanceof Error)) return null;
  return ["ENOSPC", "EDQUOT"].includes(systemCode(error)) ? error : findFullDisk(error.cause);
}

/** Whether an error means that the disk cannot be written to, and not that something else went wrong meanwhile. */
export function isWriteFault(error: unknown): boolean {
  return WRITE_FAULTS.has(systemCode(error));
}

/** Converts a system error of writing `path` into a FailedError with its remedy; other errors stay as they are. */
export function toFailedWrite(error: unknown, path: string): unknown {
  const code = systemCode(error);
  if (!(error instanceof Error) || !("syscall" in error || code in REMEDIES)) return error;
  return new FailedError("failed/write", `Cannot write file "${path}": ${code}, expected a writable place`, {
    hint: REMEDIES[code] ?? "Choose another output folder.",
    cause: error,
  });
}
