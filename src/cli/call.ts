/** @file Calls one command: parses its words to options, or shows its help. Loaded only when a command is called. */
import { parseArgv } from "./flags/argv.ts";
import type { Command, CommandIO } from "./command.ts";
import { flagsOf } from "./flags/flags.ts";
import { commandHelp } from "./help/help.ts";
import { readChosen, readOptions } from "./flags/options.ts";
import { isHelp, showHelp } from "./help/show-help.ts";

/** Runs a command with the words after its name; returns the exit status. */
export async function callCommand(
  command: Command,
  words: readonly string[],
  io: CommandIO,
): Promise<number> {
  const [firstKey] = command.positionals;
  if (command.takesAllWords && firstKey !== undefined && !isHelp(words[0])) {
    const options = { [firstKey]: words };
    return (await command.run(command.options.parse(options), io, new Set(Object.keys(options)))) ?? 0;
  }
  const flags = flagsOf(command);
  const argv = parseArgv(words, flags, command.positionals);
  if (argv.help) {
    const chosen = readChosen(command, flags, argv);
    return showHelp(commandHelp(command, { width: io.width, chosen }), io);
  }
  const { options, given } = await readOptions(command, flags, argv, io.env);
  return (await command.run(options, io, given)) ?? 0;
}
