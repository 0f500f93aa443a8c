/**
 * @file Tokenizes a text and finds the token index of given cuts in it.
 *
 * The ids are those of the whole text if no token crosses a cut. If one does (for example when a prompt ends in a space), both
 * sides are tokenized separately: the left side is the prompt exactly as a server tokenizes it, and the right side is what the
 * model has to write after it. Only if a tokenizer cannot continue a text (it puts a space before each) the ids of the whole
 * text are used, and the crossing token belongs to the right side.
 */
import type { Tokenizer } from "./tokenizer.ts";

/** Token ids of a text and, for each cut, the number of tokens before it. */
interface EncodedSegments {
  readonly ids: number[];
  readonly tokenCuts: number[];
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** Encodes without the tokenizer's own bos and eos; `cuts` are character positions in ascending order. */
export function encodeSegments(tokenizer: Tokenizer, text: string, cuts: readonly number[]): EncodedSegments {
  const encode = (part: string): number[] => tokenizer.encode(part, { addSpecialTokens: false });
  const whole = encode(text);

  // Usual case: the ids of the parts, joined, are those of the whole text.
  const joined: number[] = [];
  const tokenCuts: number[] = [];
  let previous = 0;
  for (const cut of cuts) {
    for (const id of encode(text.slice(previous, cut))) joined.push(id);
    tokenCuts.push(joined.length);
    previous = cut;
  }
  for (const id of encode(text.slice(previous))) joined.push(id);
  if (joined.length === whole.length && commonLength(joined, whole) === whole.length) {
    return { ids: whole, tokenCuts };
  }

  // Otherwise the text is split into runs. As long as the ids of the text before a cut begin the ids of the run, no token
  // crosses the cut. If one does, the text before the cut becomes a run of its own, with its cuts, and a new run starts.
  const ids: number[] = [];
  const cutsOfRuns: number[] = [];
  let runStart = 0;
  let run = whole;
  let cutsOfRun: number[] = [];
  for (const cut of cuts) {
    const before = encode(text.slice(runStart, cut));
    if (commonLength(before, run) === before.length) {
      cutsOfRun.push(cut - runStart);
      cutsOfRuns.push(ids.length + before.length);
      continue;
    }
    const left = encodeSegments(tokenizer, text.slice(runStart, cut), cutsOfRun);
    cutsOfRuns.splice(-cutsOfRun.length || cutsOfRuns.length, cutsOfRun.length);
    for (const tokenCut of left.tokenCuts) cutsOfRuns.push(ids.length + tokenCut);
    for (const id of left.ids) ids.push(id);
    cutsOfRuns.push(ids.length);
    [runStart, run, cutsOfRun] = [cut, encode(text.slice(cut)), []];
  }
  for (const id of run) ids.push(id);
  if (tokenizer.decode(ids) === tokenizer.decode(whole)) return { ids, tokenCuts: cutsOfRuns };
  return { ids: whole, tokenCuts: cuts.map((cut) => commonLength(encode(text.slice(0, cut)), whole)) };
}
