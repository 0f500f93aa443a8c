/** @file Adds up, over the chunks of attention, the rows that each has for the tokens that it sees. */
import { type Attending, type TokenPlace, type Range, TOKENS } from "./attending.ts";

/** Adds up overlapping ranges of rows, in rising order. Rows that no later range reaches are set aside as done. */
export class TokenSums {
  readonly #a: Attending;
  readonly #done: string[] = [];
  #start: TokenPlace = 0;
  #sum: string | null = null;

  constructor(a: Attending) {
    this.#a = a;
  }

  /** The results of the last `add`. The sum before it stays alive until they are computed. */
  get latest(): readonly string[] {
    return [this.#sum!, ...this.#done.slice(-1)];
  }

  /** Adds rows [B, K, s, E], whose range must not begin or end before the previous one's. */
  add(rows: string, range: Range | null): void {
    const a = this.#a;
    if (this.#sum === null) {
      this.#sum = rows;
      return;
    }
    let rest = this.#sum;
    if (range) {
      const numDone = a.emit("Sub", [a.named(range.start), a.named(this.#start)]);
      this.#done.push(a.slice(rest, TOKENS, { start: 0, end: numDone }, null));
      rest = a.slice(rest, TOKENS, { start: numDone, end: null }, null);
      this.#start = range.start;
      const size = (x: string): string => a.emit("Shape", [x], { start: TOKENS, end: TOKENS + 1 });
      const more = a.emit("Sub", [size(rows), size(rest)]);
      const pads = a.emit("Concat", [a.emitter.int64([0]), more], { axis: 0 });
      rest = a.emit("Pad", [rest, pads, a.emitter.scalar(0), a.emitter.int64([TOKENS])]);
    }
    this.#sum = a.emit("Add", [rest, rows]);
  }

  finish(output: string): void {
    this.#a.emitter.node("Concat", [...this.#done, this.#sum!], [output], { axis: TOKENS });
  }
}
