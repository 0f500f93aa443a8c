/** @file `graft generate`: goes on from a prompt, or answers it as a chat message. */
import { text } from "node:stream/consumers";

import { z } from "zod";

import { defineCommand } from "./command.ts";
import {
  GENERATION_FLAGS,
  GENERATION_GROUPS,
  WRITING_FLAGS,
  openWithProgress,
  showText,
  tellNotes,
  tellSpeed,
  textEvent,
  textRequest,
} from "./generation.ts";
import { INTERRUPTED_STATUS } from "./report.ts";

export const command = defineCommand({
  example: 'npx graft generate --adapter runs/mine --prompt "Once upon a time"',
  positionals: [],
  options: z.strictObject({
    ...WRITING_FLAGS,
    prompt: z.string().describe("Text to continue; - reads it from standard input"),
    chat: z
      .boolean()
      .default(false)
      .describe("Treat the prompt as a user message, in the model's chat template"),
    ...GENERATION_FLAGS,
  }),
  groups: { model: GENERATION_GROUPS.model, text: ["prompt", "chat", ...GENERATION_GROUPS.text] },
  async run(options, io) {
    const prompt = options.prompt === "-" ? await text(process.stdin) : options.prompt;
    const model = await openWithProgress(options, io);
    try {
      const ids = options.chat
        ? model.encodeChat([{ role: "user", content: prompt }])
        : model.encodePrompt(prompt);
      const shown = showText(io);
      const written = await model.write(ids, textRequest(options, io.signal), shown.piece);
      shown.end(written.text);
      tellSpeed(written, io);
      io.emit({ event: "done", ...textEvent(written) });
      return written.finishReason === "aborted" ? INTERRUPTED_STATUS : 0;
    } finally {
      // Also where it failed: they may say why.
      tellNotes(model.parts, io);
      await model.close();
    }
  },
});
