/** @file `graft classify`: predicts the class, the classes or the number of a text, or of all texts of a file. */
import { z } from "zod";

import { COLUMNS, readColumns } from "../../data/rows/columns.ts";
import { maxLengthSetting } from "../../data/max-length.ts";
import { readParts } from "../../engine/opening/model-parts.ts";
import { UsageError } from "../../errors.ts";
import { openCheckpoint } from "../../format/by-path.ts";
import { requireFilePlace } from "../../format/files/disk/file-place.ts";
import { PATH } from "../../messages/paths.ts";
import { defineCommand } from "../command.ts";
import { findModel } from "../model/find-model.ts";
import { MODEL_FLAGS, tellNotes } from "../model/model-flags.ts";
import { classifyTexts } from "../texts/classify-texts.ts";

const { chatTemplate: _, ...MODEL } = MODEL_FLAGS;

export const command = defineCommand({
  example: 'npx graft classify --adapter runs/reviews --text "It works."',
  positionals: [],
  options: z.strictObject({
    ...MODEL,
    text: z.string().optional().describe("Text to classify"),
    textPair: z.string().optional().describe("With --text: second text, classified together with it"),
    data: PATH.optional().describe(
      'File of texts: one per line (.txt), or rows with "text" and optionally "text_pair"; other fields are kept',
    ),
    output: PATH.optional().describe("With --data: write results to this .jsonl file, one row per text"),
    columns: COLUMNS.describe("Names of columns in the data: text=question,text_pair=answer"),
    maxLength: maxLengthSetting("Maximum tokens per text; longer ones are truncated"),
  }),
  groups: { model: Object.keys(MODEL), data: ["text", "textPair", "data", "output", "columns", "maxLength"] },
  async run(options, io) {
    const { text, textPair, data, output } = options;
    if ((text === undefined) === (data === undefined)) {
      const found =
        text === undefined ? "neither --text nor --data is given" : "--text and --data are both given";
      refuse(found, "one of them", "Give one text as --text, or a file of texts as --data.");
    }
    if (textPair !== undefined && text === undefined) {
      refuse(
        "--text-pair is given",
        "it only with --text",
        'In --data, give the second text as column "text_pair".',
      );
    }
    if (output !== undefined && data === undefined) {
      refuse("--output is given", "it only with --data", "Leave it out.");
    }
    if (output === undefined) io.endWhenUnread();
    else await requireFilePlace(output, data ?? null);
    const { name, path } = await findModel(options, io);
    const checkpoint = await openCheckpoint(path);
    try {
      const parts = await readParts(checkpoint, { name, adapterPath: options.adapter, base: options.base });
      const request = { ...options, columns: readColumns(options.columns) };
      await classifyTexts(request, parts, io);
      tellNotes(parts, io);
    } finally {
      await checkpoint.close();
    }
  },
});

function refuse(found: string, expected: string, hint: string): never {
  throw new UsageError("usage/flag", `Cannot classify: ${found}, expected ${expected}`, { hint });
}
