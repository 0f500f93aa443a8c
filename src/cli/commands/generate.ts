/** @file `graft generate`: continues a prompt, or answers it as a chat message; also for all prompts of a file. */
import { text } from "node:stream/consumers";

import { z } from "zod";

import { UsageError } from "../../errors.ts";
import { requireFilePlace } from "../../format/files/disk/file-place.ts";
import { readJson } from "../../format/by-path.ts";
import { defineCommand } from "../command.ts";
import { servedName } from "../model/find-model.ts";
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
import { readAllNamed } from "../model/named-adapters.ts";
import { stoppedStatus } from "../report.ts";
import { NAME_OR_PATH, PATH } from "../../messages/paths.ts";

const OPTIONS = z.strictObject({
  ...WRITING_FLAGS,
  adapter: z
    .array(NAME_OR_PATH)
    .default([])
    .describe(
      "Adapter folder to apply to the model; with --prompts also several, as NAME=FOLDER, which rows select by name",
    ),
  prompt: z.string().optional().describe("Text to continue; - reads it from standard input"),
  prompts: PATH.optional().describe(
    'File of prompts, completed in batches: one per line (.txt), or rows with "prompt" or "messages", and optionally "adapter"',
  ),
  output: PATH.optional().describe("With --prompts: write the texts to this .jsonl file, one row per prompt"),
  chat: z
    .boolean()
    .default(false)
    .describe("Treat the prompt as a user message, and apply the model's chat template"),
  jsonSchema: PATH.optional().describe(
    "With --prompt: file with a JSON schema that the output must satisfy (docs/serving.md)",
  ),
  ...GENERATION_FLAGS,
});

/** @throws UsageError "usage/flag" for flags that exclude each other */
function requireFit({ prompt, prompts, output, adapter, jsonSchema }: z.output<typeof OPTIONS>): void {
  const refuse = (found: string, expected: string, hint: string): never => {
    throw new UsageError("usage/flag", `Cannot generate: ${found}, expected ${expected}`, { hint });
  };
  if ((prompt === undefined) === (prompts === undefined)) {
    const found =
      prompt === undefined
        ? "neither --prompt nor --prompts is given"
        : "--prompt and --prompts are both given";
    refuse(found, "one of them", "Give a text as --prompt, or a file as --prompts.");
  }
  if (prompts !== undefined) {
    if (jsonSchema === undefined) return;
    refuse("--json-schema is given", "it only with --prompt", "Leave it out.");
  }
  if (output !== undefined) refuse("--output is given", "it only with --prompts", "Leave it out.");
  if (adapter.length > 1) {
    refuse("there are several adapters", "one with --prompt", "Choose one, or give --prompts.");
  }
}

export const command = defineCommand({
  example: 'npx graft generate --adapter runs/mine --prompt "Once upon a time"',
  positionals: [],
  options: OPTIONS,
  groups: {
    model: GENERATION_GROUPS.model,
    text: ["prompt", "prompts", "output", "chat", "jsonSchema", ...GENERATION_GROUPS.text],
  },
  async run(options, io) {
    requireFit(options);
    if (options.output === undefined) io.endWhenUnread();
    else await requireFilePlace(options.output, options.prompts ?? null);
    const adapters = readAllNamed(options.adapter);
    const schema = options.jsonSchema === undefined ? null : await readJson(options.jsonSchema);
    const prompt = options.prompt === "-" ? await text(process.stdin) : options.prompt;
    // Several adapters are added to the base afterwards; a single one is opened with it.
    const [first] = adapters;
    const model = await openWithProgress({ ...options, adapter: first?.path }, io, adapters);
    try {
      if (options.prompts !== undefined) {
        const { name } = model.parts.base;
        const modelNames = [name, servedName({ name, path: model.parts.checkpoint.path })];
        const { generateBatch } = await import("../texts/generate-batch.ts");
        await generateBatch({ ...options, prompts: options.prompts }, model, { ...options, modelNames }, io);
        return 0;
      }
      const ids = options.chat
        ? model.encodeChat([{ role: "user", content: prompt ?? "" }])
        : model.encodePrompt(prompt ?? "");
      const grammar = schema && (await model.grammarOf(schema));
      const request = { ...textRequest(options, io.signal), grammar, goesOn: !options.chat };
      const written = await showWhileWritten((onPiece) => model.write(ids, request, onPiece), io);
      io.emit({ event: "done", ...textEvent(written) });
      return written.finishReason === "aborted" ? stoppedStatus(io.signal) : 0;
    } finally {
      // Also after a failure: the notes may explain it.
      tellNotes(model.parts, io);
      await model.close();
    }
  },
});
