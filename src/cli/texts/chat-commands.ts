/** @file The commands that can be typed in `graft chat` besides messages; they begin with a slash. */
import { basename, dirname, resolve } from "node:path";

import type { Conversation } from "../../engine/conversation.ts";
import type { TextModel } from "../../engine/text-model.ts";
import { UsageError } from "../../errors.ts";
import { disk } from "../../format/files/disk/calls.ts";
import { makeFolders } from "../../format/files/disk/make-folders.ts";
import { nearest } from "../../messages/nearest.ts";
import { systemCode, toFailedWrite } from "../../messages/system-error.ts";
import { table } from "../help/help-table.ts";

/** The state that a command works on. */
export interface ChatState {
  readonly model: TextModel;
  readonly conversation: Conversation;
  /** Line width in characters. */
  readonly width: number;
}

interface ChatCommand {
  readonly name: string;
  /** Name of the argument; empty: the command has none. */
  readonly argument: string;
  readonly summary: string;
  /** Returns the text to show. */
  run(argument: string, state: ChatState): string | Promise<string>;
}

/** Words that end the conversation, like Ctrl-D. */
const EXIT_WORDS = ["exit", "quit", "/exit", "/quit"];

const CHAT_COMMANDS: readonly ChatCommand[] = [
  {
    name: "help",
    argument: "",
    summary: "Show this help",
    run: (_, { width }) =>
      table(
        [
          ...CHAT_COMMANDS.map(
            ({ name, argument, summary }) => [`/${name} ${argument}`.trim(), summary] as const,
          ),
          ["exit, Ctrl-D", "Leave"] as const,
          ["Ctrl-C", "Stop the answer; at the prompt: quit"] as const,
        ],
        width,
      ).join("\n"),
  },
  {
    name: "system",
    argument: "TEXT",
    summary: "Set the system message, and keep the conversation; without text, remove it",
    run(text, { conversation }) {
      conversation.setSystem(text === "" ? null : text);
      return text === "" ? "System message removed." : "System message set.";
    },
  },
  {
    name: "reset",
    argument: "",
    summary: "Clear the conversation, but keep the system message",
    run(_, { conversation }) {
      conversation.reset();
      return "The conversation is cleared.";
    },
  },
  {
    name: "save",
    argument: "FILE",
    summary: "Append the conversation to a .jsonl file, as a row that graft train can read",
    async run(path, { conversation: { messages } }) {
      if (path === "") {
        throw new UsageError("usage/flag", 'Cannot run "/save": FILE is missing, expected a path', {
          hint: "Type /save FILE.",
        });
      }
      if (!messages.some(({ role }) => role === "assistant")) {
        throw new UsageError("usage/flag", "Cannot save the conversation: it is empty, expected an answer", {
          hint: "Ask something first.",
        });
      }
      try {
        await makeFolders(dirname(resolve(path)));
        const start = (await lacksLineEnd(path)) ? "\n" : "";
        await disk().appendFile(path, `${start}${JSON.stringify({ messages })}\n`);
      } catch (error) {
        throw toFailedWrite(error, path);
      }
      return `Added ${messages.length} messages to ${path}.`;
    },
  },
  {
    name: "adapter",
    argument: "NAME|off",
    summary: "Switch to an adapter by name or folder, or to the bare model; without a name, list them",
    async run(name, { model: { tasks } }) {
      const loaded = tasks.list();
      if (name === "") {
        const names = loaded.map((task) => (task.isActive ? `${task.name} (active)` : task.name));
        return names.length === 0 ? "No adapter is loaded." : `Adapters: ${names.join(", ")}`;
      }
      if (name === "off") {
        await tasks.switch(null);
        return "Now answering: the bare model.";
      }
      const chosen =
        loaded.find((task) => task.name === name) ?? (await tasks.load(basename(resolve(name)), name));
      await tasks.switch(chosen.name);
      return `Now answering: adapter ${chosen.name}.`;
    },
  },
];

/** Whether the last line of a file has no line end, as some editors leave it: an appended row would be part of it. */
async function lacksLineEnd(path: string): Promise<boolean> {
  const found = await disk()
    .open(path, "r")
    .catch((error: unknown) => {
      if (systemCode(error) === "ENOENT") return null;
      throw error;
    });
  if (found === null) return false;
  try {
    const { size } = await found.stat();
    const { bytesRead, buffer } = await found.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    return bytesRead > 0 && buffer.toString() !== "\n";
  } finally {
    await found.close();
  }
}

/** Whether a line ends the conversation. */
export function isExit(line: string): boolean {
  return EXIT_WORDS.includes(line);
}

/** Whether a line is a command; "/etc/hosts" is not. */
export function isChatCommand(line: string): boolean {
  return /^\/[a-z]+(\s|$)/i.test(line);
}

/**
 * Runs a line that is a command; returns the text to show.
 * @throws UsageError "usage/flag" for an unknown one; what the command throws
 */
export async function runChatCommand(line: string, state: ChatState): Promise<string> {
  const [, name = "", argument = ""] = /^\/(\S+)\s*(.*)$/s.exec(line) ?? [];
  const command = CHAT_COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const match = nearest(
      name,
      CHAT_COMMANDS.map((candidate) => candidate.name),
    );
    const known = "Type /help for the commands.";
    throw new UsageError("usage/flag", `Cannot run "/${name}": there is no such command`, {
      hint: match === null ? known : `Did you mean /${match}? ${known}`,
    });
  }
  if (argument !== "" && command.argument === "") {
    throw new UsageError("usage/flag", `Cannot run "/${name}": it takes no text, found "${argument}"`, {
      hint: `Type just /${name}.`,
    });
  }
  return await command.run(argument, state);
}
