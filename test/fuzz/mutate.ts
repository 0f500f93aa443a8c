/** @file Damages bytes, texts and JSON in the ways in which files are damaged by chance and by intent. */
import type { Random } from "../../src/random.ts";

/** Numbers that counts, offsets and sizes are replaced by. */
const NUMBERS = [
  0,
  1,
  -1,
  2,
  0.5,
  255,
  65_536,
  1e6,
  3e6,
  1e9,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  1e308,
  -1e9,
];
/** Texts that names are replaced by. */
const TEXTS = [
  "",
  "__proto__",
  "constructor",
  "\0",
  "\u001B[2J",
  "../../x",
  "x".repeat(70_000),
  "(a+)+$",
  "💥",
  "\uD800",
];
/** What is put into texts of any language. */
const SIGNS = [
  "{",
  "}",
  "[",
  "]",
  "(",
  ")",
  '"',
  "'",
  "\\",
  ",",
  ":",
  "\n",
  "\t",
  " ",
  "-",
  "*",
  "&a",
  "!!x",
  "|",
  "%",
  "#",
  "{{",
  "}}",
  "{%",
  "%}",
];

/** One of a list. */
export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.integer(items.length)] as T;
}

/** Damages bytes in one to four places. */
export function mutateBytes(random: Random, bytes: Uint8Array): Uint8Array {
  // Not `slice`, which for a Buffer is a view: the corpus must stay as it is.
  let mutated: Uint8Array = new Uint8Array(bytes);
  for (let left = 1 + random.integer(1 + random.integer(4)); left > 0; left--)
    mutated = mutateBytesOnce(random, mutated);
  return mutated;
}

function mutateBytesOnce(random: Random, bytes: Uint8Array): Uint8Array {
  if (bytes.length < 16) return Uint8Array.from({ length: 32 }, () => random.integer(256));
  // Headers come first, and are small beside the data.
  const span = random.integer(3) === 0 ? bytes.length : Math.min(bytes.length, 600);
  const at = random.integer(span - 8);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = 1 + random.integer(40);
  switch (random.integer(8)) {
    case 0:
      bytes[at]! ^= 1 << random.integer(8);
      return bytes;
    case 1:
      bytes[at] = random.integer(256);
      return bytes;
    case 2:
      view.setUint32(at, pick(random, NUMBERS), true);
      return bytes;
    case 3:
      view.setBigUint64(at, BigInt(Math.trunc(Math.max(-1, Math.min(2 ** 63, pick(random, NUMBERS))))), true);
      return bytes;
    case 4:
      return bytes.slice(0, at);
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    case 6:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    default:
      return Buffer.concat([
        bytes.subarray(0, at),
        Buffer.alloc(length, random.integer(256)),
        bytes.subarray(at),
      ]);
  }
}

/** Damages a text in one to four places; `words`: of its language. */
export function mutateText(random: Random, text: string, words: readonly string[] = SIGNS): string {
  let mutated = text;
  for (let left = 1 + random.integer(1 + random.integer(4)); left > 0; left--) {
    const at = random.integer(mutated.length + 1);
    const end = Math.min(mutated.length, at + random.integer(20));
    const word = pick(random, random.integer(2) === 0 ? words : SIGNS);
    const [before, part, after] = [mutated.slice(0, at), mutated.slice(at, end), mutated.slice(end)];
    mutated = [
      () => before + after,
      () => before + word + part + after,
      () => before + part + part + after,
      () => before + String(pick(random, NUMBERS)) + after,
      () => before + pick(random, TEXTS) + after,
      () => before + word.repeat(1 + random.integer(random.integer(20) === 0 ? 5000 : 8)) + part + after,
      () => before,
    ][random.integer(7)]!();
    if (mutated.length > 200_000) return mutated.slice(0, 200_000);
  }
  return mutated;
}

function strangeValue(random: Random): unknown {
  const make: (() => unknown)[] = [
    () => pick(random, NUMBERS),
    () => pick(random, NUMBERS),
    () => pick(random, TEXTS),
    () => pick(random, [null, true, false]),
    () => [],
    () => ({}),
    () => Array.from({ length: 3 }, () => pick(random, NUMBERS)),
    () => ({ [pick(random, TEXTS)]: pick(random, NUMBERS) }),
    () => JSON.parse("[".repeat(150) + "]".repeat(150)) as unknown,
  ];
  return pick(random, make)();
}

/** Damages JSON text: a value, a key or a place of it, rarely its letters. */
export function mutateJson(random: Random, text: string): string {
  const whole = JSON.parse(text) as unknown;
  for (let left = 1 + random.integer(1 + random.integer(3)); left > 0; left--) mutateInside(random, whole);
  const changed = JSON.stringify(whole);
  return random.integer(8) === 0 ? mutateText(random, changed) : changed;
}

function mutateInside(random: Random, value: unknown): void {
  if (typeof value !== "object" || value === null) return;
  const keys = Object.keys(value);
  if (keys.length === 0) return;
  const container = value as Record<string, unknown>;
  const key = pick(random, keys);
  // Large lists, such as vocabularies, are changed inside; else this goes down now and then.
  if (typeof container[key] === "object" && random.integer(3) > 0)
    return mutateInside(random, container[key]);
  const choice = random.integer(6);
  if (choice === 0) {
    if (Array.isArray(value)) value.splice(Number(key), 1);
    else delete container[key];
  } else if (choice === 1) {
    // JSON writes no names of a list's, and one such as "constructor" would break its methods.
    container[pick(random, Array.isArray(value) ? keys : [...TEXTS.slice(0, 5), ...keys])] = container[key];
  } else if (choice === 2) container[key] = container[pick(random, keys)];
  else container[key] = strangeValue(random);
}
