/** @file Counts typed arrays with memory of their own by the file of graft that makes them. Views are not counted. */

/** Kinds of numbers that programs read and write. */
const KINDS = ["Float32Array", "Int32Array", "BigInt64Array", "Uint16Array", "Uint8Array"] as const;
/** What gives a fresh array of an old one. */
const COPIES = ["slice", "map", "filter"] as const;

type Constructor = new (...given: unknown[]) => ArrayBufferView;
type Methods = Record<string, (...given: unknown[]) => ArrayBufferView>;

/** Runs something and counts the arrays that files below src/ make meanwhile: "run/head/head.ts" → bytes. */
export async function countArrays(run: () => Promise<void>): Promise<Map<string, number>> {
  const bytesOf = new Map<string, number>();
  let isCounting = true;
  const note = (array: ArrayBufferView): void => {
    const frame = isCounting ? /\/src\/([\w/-]+\.ts)/.exec(new Error().stack ?? "") : null;
    if (frame) bytesOf.set(frame[1]!, (bytesOf.get(frame[1]!) ?? 0) + array.byteLength);
  };
  const scope = globalThis as unknown as Record<string, Constructor>;
  const restore: (() => void)[] = [];
  for (const kind of KINDS) {
    const own = scope[kind]!;
    scope[kind] = new Proxy(own, {
      construct(target, given, newTarget) {
        const array = Reflect.construct(target, given, newTarget) as ArrayBufferView;
        if (!(given[0] instanceof ArrayBuffer || given[0] instanceof SharedArrayBuffer)) note(array);
        return array;
      },
    });
    restore.push(() => (scope[kind] = own));
  }
  const prototype = Object.getPrototypeOf(Float32Array.prototype) as Methods;
  const statics = Object.getPrototypeOf(Float32Array) as unknown as Methods;
  for (const [methods, names] of [
    [prototype, COPIES],
    [statics, ["from", "of"]],
  ] as const) {
    for (const name of names) {
      const own = methods[name]!;
      methods[name] = function (this: unknown, ...given: unknown[]) {
        const array = own.apply(this, given);
        note(array);
        return array;
      };
      restore.push(() => (methods[name] = own));
    }
  }
  try {
    await run();
  } finally {
    isCounting = false;
    for (const back of restore) back();
  }
  return bytesOf;
}
