/** @file Reads and writes the steps of JSON pointers (RFC 6901), as text and in the fragments of references. */

/** Writes a name as a step. */
export function encodeStep(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** Reads a step of a fragment as a name. */
export function decodeStep(step: string): string {
  let text = step;
  try {
    text = decodeURIComponent(step);
  } catch {
    // A percent sign that encodes nothing.
  }
  return text.replaceAll("~1", "/").replaceAll("~0", "~");
}
