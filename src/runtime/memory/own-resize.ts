/** @file Resizable buffers that native code may read: only their maker can resize them, and it knows when they are in use. */

const owned = new WeakSet<ArrayBufferLike>();

/** Takes `resize` away from a buffer; the returned function is the only way left to resize it. */
export function takeResize(buffer: ArrayBuffer): (sizeBytes: number) => void {
  const resize = buffer.resize.bind(buffer);
  const refuse = (): never => {
    throw new TypeError("Cannot resize this ArrayBuffer: native code may have its address");
  };
  Object.defineProperty(buffer, "resize", { value: refuse });
  owned.add(buffer);
  return resize;
}

/** Whether only its maker can resize the buffer, so that it shrinks only when unused. */
export function hasOwnResize(buffer: ArrayBufferLike): boolean {
  return owned.has(buffer);
}
