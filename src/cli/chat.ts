/**
 * @file `graft chat`: a conversation on the terminal, or one line of standard input a turn.
 *
 * Ctrl-C stops an answer; at the prompt it leaves.
 */
import { createInterface } from "node:readline";

import { z } from "zod";

import { Conversation } from "../engine/conversation.ts";
import { UsageError } from "../errors.ts";
import { type CommandIO, defineCommand } from "./command.ts";
import {
  GENERATION_FLAGS,
  GENERATION_GROUPS,
  MODEL_FLAGS,
  openWithProgress,
  showText,
  tellNotes,
  tellSpeed,
  textEvent,
  textRequest,
} from "./generation.ts";
import { reportError } from "./report.ts";

const options = z.strictObject({
  ...MODEL_FLAGS,
  system: z.string().optional().describe("Message of the system, before the first turn"),
  ...GENERATION_FLAGS,
  maxNewTokens: GENERATION_FLAGS.maxNewTokens.unwrap().default(512).describe("Tokens of an answer at most"),
});

/** Reads lines and tells interrupts; on a terminal with a prompt and a history. */
function openInput(isTerminal: boolean): ReturnType<typeof createInterface> {
  const { stdin, stdout } = process;
  return createInterface(isTerminal ? { input: stdin, output: stdout, prompt: "> " } : { input: stdin });
}

/** Answers one line on the terminal. A question that the model cannot take is told, and the conversation goes on. */
async function answer(
  conversation: Conversation,
  line: string,
  request: ReturnType<typeof textRequest>,
  io: CommandIO,
): Promise<void> {
  const shown = showText(io);
  try {
    const written = await conversation.ask(line, request, shown.piece);
    shown.end(written.text);
    tellSpeed(written, io);
    io.emit({ event: "answer", ...textEvent(written) });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    reportError(error, io);
  }
}

export const command = defineCommand({
  example: "npx graft chat --adapter runs/mine",
  positionals: [],
  options,
  groups: { model: GENERATION_GROUPS.model, text: ["system", ...GENERATION_GROUPS.text] },
  async run(flags, io) {
    const model = await openWithProgress(flags, io);
    const isTerminal = io.interactive && !io.json && process.stdin.isTTY && process.stdout.isTTY;
    const input = openInput(isTerminal);
    let answering: AbortController | null = null;
    const interrupt = (): void => {
      if (answering) answering.abort();
      else input.close();
    };
    // A terminal in line editing turns Ctrl-C into this event; otherwise it comes as a signal.
    input.on("SIGINT", interrupt);
    io.signal.addEventListener("abort", interrupt);
    try {
      const conversation = new Conversation(model, flags.system ?? null);
      if (isTerminal) io.stderr(io.color.dim("/reset forgets the conversation, /exit or Ctrl-D leaves"));
      if (isTerminal) input.prompt();
      for await (const line of input) {
        const words = line.trim();
        if (words === "/exit") break;
        if (words === "/reset") conversation.reset();
        else if (words !== "") {
          answering = new AbortController();
          await answer(conversation, words, textRequest(flags, answering.signal), io);
          tellNotes(model.parts, io);
          answering = null;
        }
        if (isTerminal) input.prompt();
      }
    } finally {
      io.signal.removeEventListener("abort", interrupt);
      input.close();
      await model.close();
    }
  },
});
