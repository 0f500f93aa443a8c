/** @file What the first line of the program starts Node with, for those who start it otherwise. */
import { readFileSync } from "node:fs";

const PROGRAM = new URL("../../bin/graft.js", import.meta.url);

/** Its variables, which are settings of the C library, and its flags. */
export function ownStart(): {
  readonly env: Readonly<Record<string, string>>;
  readonly flags: readonly string[];
} {
  const words = readFileSync(PROGRAM, "utf8").split("\n", 1)[0]!.split(" ");
  const variables = words.flatMap((word) => {
    const [, name, value] = /^([A-Z_]+)=(.*)$/.exec(word) ?? [];
    return name === undefined || value === undefined ? [] : [[name, value] as const];
  });
  return { env: Object.fromEntries(variables), flags: words.filter((word) => word.startsWith("--")) };
}
