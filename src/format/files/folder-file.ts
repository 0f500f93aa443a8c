/** @file A file to write, which is filled when its turn comes: the way in which formats say what they write. */

/** Appends bytes to the file being written. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/** A file of a folder: its name, and how it is filled. */
export interface FolderFile {
  readonly name: string;
  fill(write: Write): Promise<void>;
}

/** Makes a file of a folder from text. */
export function textFile(name: string, text: string): FolderFile {
  return { name, fill: (write) => write(new TextEncoder().encode(text)) };
}
