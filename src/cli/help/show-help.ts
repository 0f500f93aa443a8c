/** @file Recognises requests for help, and shows it. */
import type { CommandIO } from "../command.ts";

/** Tells whether a word asks for help. */
export function isHelp(word: string | undefined): boolean {
  return word === "--help" || word === "-h";
}

/** Shows a help text; returns the exit status. */
export function showHelp(text: string, io: CommandIO): number {
  io.stdout(text);
  io.emit({ event: "help", text });
  return 0;
}
