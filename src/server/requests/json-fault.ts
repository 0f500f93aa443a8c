/** @file Finds the position at which JSON text is wrong. The JavaScript engine reports it only for some faults. */

/** Longer texts are not searched, since each try reads all before the position. */
const MAX_LENGTH = 1 << 16;

/** Says what is wrong with a text that `JSON.parse` refuses, with the position. */
export function describeJsonFault(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (/at position \d/.test(message) || text.length > MAX_LENGTH) return message;
  return `${message} (at position ${faultPosition(text)})`;
}

/** The first character after which no continuation makes the text JSON; the length of a text that only ends too soon. */
function faultPosition(text: string): number {
  let [low, high] = [0, text.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (mayGoOn(text.slice(0, middle))) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Whether a text is the beginning of some JSON. */
function mayGoOn(start: string): boolean {
  try {
    JSON.parse(start);
    return true;
  } catch (error) {
    const { message } = error as Error;
    if (/unexpected end|unterminated/i.test(message)) return true;
    return Number(/at position (\d+)/.exec(message)?.[1] ?? -1) === start.length;
  }
}
