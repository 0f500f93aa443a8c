/** @file Converts signed bytes to unsigned ones around 128. */

/** Adds 128 to signed bytes, four at a time; both may be the same memory. */
export function flipSigns(from: Uint8Array, to: Uint8Array): void {
  const canWiden = from.byteOffset % 4 === 0 && to.byteOffset % 4 === 0 && from.length % 4 === 0;
  if (!canWiden) {
    for (let i = 0; i < from.length; i++) to[i] = from[i]! ^ 0x80;
    return;
  }
  const inFours = ({ buffer, byteOffset, length }: Uint8Array): Uint32Array =>
    new Uint32Array(buffer, byteOffset, length / 4);
  const [words, into] = [inFours(from), inFours(to)];
  for (let i = 0; i < words.length; i++) into[i] = words[i]! ^ 0x80808080;
}
