/** @file Seeded rows of every kind of data for the byte tokenizer, with something to learn in each. */
import { writeFileSync } from "node:fs";
import { Random } from "../../src/random.ts";

const GOOD = ["ka lo", "mi ka", "lo mi"];
const BAD = ["nu te", "so nu", "te so"];

type Row = Readonly<Record<string, unknown>>;
type Draw = (words: readonly string[]) => string;

/** A row by its number; good words come from the first list, bad from the second. */
const MAKERS: Readonly<Record<string, (draw: Draw, i: number) => Row>> = {
  text: (draw) => ({ prompt: `ask ${draw(BAD)}:`, completion: ` ${draw(GOOD)}` }),
  preference: (draw) => ({
    prompt: `ask ${draw(BAD)}:`,
    chosen: ` ${draw(GOOD)}`,
    rejected: ` ${draw(BAD)} so`,
  }),
  unpaired: (draw, i) => ({
    prompt: `ask ${draw(BAD)}:`,
    completion: ` ${draw(i % 2 === 0 ? GOOD : BAD)}`,
    label: i % 2 === 0,
  }),
  classes: (draw, i) => ({
    text: `${draw(i % 2 === 0 ? GOOD : BAD)} ${draw(i % 2 === 0 ? GOOD : BAD)}`,
    label: i % 2 === 0 ? "good" : "bad",
  }),
  labels: (draw, i) => ({
    text: `${draw(i % 2 === 0 ? GOOD : BAD)} ${draw(i % 3 === 0 ? GOOD : BAD)}`,
    label: [...(i % 2 === 0 || i % 3 === 0 ? ["good"] : []), ...(i % 2 === 0 && i % 3 === 0 ? [] : ["bad"])],
  }),
  numbers: (draw, i) => ({
    text: `${draw(i % 2 === 0 ? GOOD : BAD)} ${draw(i % 2 === 0 ? GOOD : BAD)}`,
    label: i % 2 === 0 ? 1.5 : -0.5,
  }),
};

/** Writes rows of a kind as JSONL; returns the path. */
export function writeTinyRows(path: string, kind: string, numRows: number, seed = 1): string {
  const random = new Random(seed);
  const draw: Draw = (words) => words[random.integer(words.length)]!;
  const make = MAKERS[kind];
  if (!make) throw new RangeError(`Cannot make rows of kind "${kind}"`);
  const rows = Array.from({ length: numRows }, (_, i) => make(draw, i));
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}
