/** @file Resizable buffers that native code may read: nobody can resize them but who made them, and knows when they are read. */

const owned = new WeakSet<ArrayBufferLike>();

/** Takes `resize` away from a buffer; what is returned stays the only way to it. */
export function takeResize(buffer: ArrayBuffer): (sizeBytes: number) => void {
  const resize = buffer.resize.bind(buffer);
  const refuse = (): never => {
    throw new TypeError("Cannot resize this ArrayBuffer: native code may have its address");
  };
  Object.defineProperty(buffer, "resize", { value: refuse });
  owned.add(buffer);
  return resize;
}

/** Whether a resizable buffer shrinks only when nobody uses it. */
export function hasOwnResize(buffer: ArrayBufferLike): boolean {
  return owned.has(buffer);
}
