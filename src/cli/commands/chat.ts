/**
 * @file `graft chat`: a conversation on the terminal, or with one line of standard input per turn.
 *
 * Ctrl-C stops an answer; at the prompt it ends the conversation.
 */
import { createInterface } from "node:readline";

import { z } from "zod";

import { Conversation } from "../../engine/conversation.ts";
import { GraftError } from "../../errors.ts";
import { type ChatState, isChatCommand, isExit, runChatCommand } from "../texts/chat-commands.ts";
import { type CommandIO, defineCommand } from "../command.ts";
import { tellNotes } from "../model/model-flags.ts";
import {
  GENERATION_FLAGS,
  GENERATION_GROUPS,
  WRITING_FLAGS,
  openWithProgress,
  showWhileWritten,
  textEvent,
  textRequest,
} from "../texts/generation.ts";
import { formatCountOf } from "../../messages/numbers.ts";
import { reportError, warn } from "../report.ts";

const options = z.strictObject({
  ...WRITING_FLAGS,
  system: z.string().optional().describe("System message"),
  ...GENERATION_FLAGS,
  maxNewTokens: GENERATION_FLAGS.maxNewTokens
    .unwrap()
    .default(512)
    .describe("Maximum number of tokens per answer"),
});

/** Opens the input of lines and interrupts; on a terminal with a prompt and a history. */
function openInput(isTerminal: boolean): ReturnType<typeof createInterface> {
  const { stdin, stdout } = process;
  return createInterface(isTerminal ? { input: stdin, output: stdout, prompt: "> " } : { input: stdin });
}

/** Answers one line on the terminal. */
async function answer(
  conversation: Conversation,
  line: string,
  request: ReturnType<typeof textRequest>,
  io: CommandIO,
): Promise<void> {
  const written = await showWhileWritten((onPiece) => conversation.ask(line, request, onPiece), io);
  const { numDroppedTurns: numDropped } = written;
  if (numDropped > 0) {
    warn(
      `the conversation is longer than the model's context: ${formatCountOf(numDropped, "oldest turn")} dropped`,
      io,
    );
  }
  io.emit({ event: "answer", ...textEvent(written), dropped_turns: numDropped });
}

/**
 * Executes a line. Reports input that the model cannot take and failures of commands, and lets the conversation continue;
 * returns the status of that failure, else 0.
 */
async function handleLine(
  line: string,
  state: ChatState,
  request: ReturnType<typeof textRequest>,
  io: CommandIO,
): Promise<number> {
  try {
    if (!isChatCommand(line)) {
      await answer(state.conversation, line, request, io);
      return 0;
    }
    const told = await runChatCommand(line, state);
    io.stdout(io.color.dim(told));
    io.emit({ event: "command", line, text: told });
    return 0;
  } catch (error) {
    if (!(error instanceof GraftError)) throw error;
    return reportError(error, io);
  }
}

export const command = defineCommand({
  example: "npx graft chat --adapter runs/mine",
  positionals: [],
  options,
  groups: { model: GENERATION_GROUPS.model, text: ["system", ...GENERATION_GROUPS.text] },
  async run(flags, io) {
    io.endWhenUnread();
    const model = await openWithProgress(flags, io);
    const isTerminal = io.interactive && !io.json && process.stdin.isTTY && process.stdout.isTTY;
    const input = openInput(isTerminal);
    let answering: AbortController | null = null;
    const leave = (): void => {
      answering?.abort();
      input.close();
    };
    const interrupt = (): void => (answering ? answering.abort() : leave());
    // In line editing, a terminal turns Ctrl-C into this event; a signal, in contrast, asks the program to end.
    input.on("SIGINT", interrupt);
    io.signal.addEventListener("abort", leave);
    // Counts lines that were typed while an answer is written; they wait for their turn.
    let numWaiting = 0;
    input.on("line", () => void (answering && numWaiting++));
    // Closed by a signal or Ctrl-D, possibly while an answer is written.
    let isClosed = false;
    input.on("close", () => (isClosed = true));
    const prompt = (): void => {
      if (isTerminal && !isClosed) input.prompt();
    };
    try {
      const conversation = new Conversation(model, flags.system ?? null);
      const state = { model, conversation, width: io.width };
      if (isTerminal) io.stderr(io.color.dim("/help shows the commands; exit or Ctrl-D quits"));
      prompt();
      let isLeft = false;
      let failed = 0;
      for await (const line of input) {
        const words = line.trim();
        if (isTerminal && numWaiting > 0) io.stdout(line);
        numWaiting = Math.max(0, numWaiting - 1);
        isLeft = isExit(words);
        if (isLeft) break;
        if (words !== "") {
          answering = new AbortController();
          const status = await handleLine(words, state, textRequest(flags, answering.signal), io);
          failed ||= status;
          tellNotes(model.parts, io);
          answering = null;
        }
        prompt();
      }
      // After Ctrl-D the cursor is still behind the prompt.
      if (isTerminal && !isLeft) io.stderr("");
      io.signal.throwIfAborted();
      // A person has seen the failure; a script learns of it from the status at the end.
      return isTerminal ? 0 : failed;
    } finally {
      io.signal.removeEventListener("abort", leave);
      input.close();
      await model.close();
    }
  },
});
