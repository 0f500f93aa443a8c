/** @file Copies files in pieces, so that a large one needs no memory of its size, and hashes what is written. */
import { createHash } from "node:crypto";
import { ByteFile } from "../format/files/byte-file.ts";
import { type FolderFile, unlikeWritten } from "../format/files/folder-file.ts";
import { piecesOf } from "../format/files/pieces.ts";

/** The pieces of a file as it is when they are read. @throws FormatError "format/file" */
export async function* piecesIn(path: string): AsyncGenerator<Uint8Array, void, void> {
  const file = await ByteFile.open(path);
  try {
    yield* piecesOf(file);
  } finally {
    await file.close();
  }
}

/** The SHA-256 of pieces, as hexadecimal. @throws as reading them */
export async function hashPieces(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

/** Plans a file of a folder from pieces; `onWritten` receives the SHA-256 of what was written. */
export function copiedFile(
  name: string,
  pieces: () => AsyncIterable<Uint8Array>,
  onWritten: (sha256: string) => void = () => {},
): FolderFile {
  let written = "";
  return {
    name,
    async fill(write) {
      const hash = createHash("sha256");
      for await (const piece of pieces()) {
        hash.update(piece);
        await write(piece);
      }
      written = hash.digest("hex");
      onWritten(written);
    },
    async check(file) {
      if ((await hashPieces(piecesOf(file))) !== written) throw unlikeWritten(file.path, "other bytes");
    },
  };
}
