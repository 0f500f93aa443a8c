/** @file Help of the whole program, or of one group of commands; it loads none of them. */
import type { ListedCommand } from "../command.ts";
import { table } from "./help-table.ts";
import { wrap } from "../terminal/wrap.ts";

/** Writes the help of the whole program, or of one group of commands. */
export function programHelp(commands: readonly ListedCommand[], summary: string, width: number): string {
  return [
    ...wrap(summary, width),
    "",
    "Usage: graft COMMAND [arguments] [flags]",
    "",
    "Commands:",
    ...table(
      commands.map((command) => [command.name, command.summary]),
      width,
    ),
    "",
    ...wrap("graft COMMAND --help shows the flags of a command; graft --version shows the version.", width),
  ].join("\n");
}
