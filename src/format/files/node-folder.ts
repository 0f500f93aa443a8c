/** @file A folder on disk. */
import { FormatError } from "../../errors.ts";
import { describeFileProblem, systemCode } from "../../messages/system-error.ts";
import { ByteFile } from "./byte-file.ts";
import { disk } from "./disk/calls.ts";
import { type Folder, pathIn } from "./folder.ts";

/** Makes the folder at a path; whether it exists is not checked before it is read. */
export function nodeFolder(path: string): Folder {
  return {
    path,
    async names() {
      try {
        return (await disk().readdir(path)).toSorted();
      } catch (error) {
        throw new FormatError(
          "format/file",
          `Cannot read folder "${path}": ${describeFileProblem(error)}, expected a folder`,
          { hint: "Check the path.", cause: error },
        );
      }
    },
    open: (name) => ByteFile.open(pathIn({ path }, name)),
    async text(name) {
      const file = pathIn({ path }, name);
      try {
        return await disk().readFile(file, "utf8");
      } catch (error) {
        if (systemCode(error) === "ENOENT") return null;
        throw new FormatError(
          "format/file",
          `Cannot read file "${file}": ${describeFileProblem(error)}, expected a text file`,
          { hint: "Check the path and its permissions.", cause: error },
        );
      }
    },
  };
}
