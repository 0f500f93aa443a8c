/** @file `graft classify`: tells the class, the classes or the number of a text, or of all texts of a file. */
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
    text: z.string().optional().describe("Text to judge"),
    textPair: z.string().optional().describe("With --text: second text, judged together with it"),
    data: PATH.optional().describe(
      'File with many texts: a line each (.txt), or rows with "text" and perhaps "text_pair"; what else rows have is kept',
    ),
    output: PATH.optional().describe("With --data: .jsonl file for what is told, one row a text"),
    columns: COLUMNS.describe("Names of columns in the data: text=question,text_pair=answer"),
    maxLength: maxLengthSetting("Maximum tokens of a text; longer ones are cut"),
  }),
  groups: { model: Object.keys(MODEL), data: ["text", "textPair", "data", "output", "columns", "maxLength"] },
  async run(options, io) {
    const { text, textPair, data, output } = options;
    if ((text === undefined) === (data === undefined)) {
      const found = text === undefined ? "there is no text" : "there are --text and --data";
      refuse(found, "one of --text and --data", "Give a text as --text, or a file of texts as --data.");
    }
    if (textPair !== undefined && text === undefined) {
      refuse("--text-pair is given", "it beside --text alone", 'Rows of --data have a column "text_pair".');
    }
    if (output !== undefined && data === undefined) {
      refuse("--output is given", "it beside --data alone", "Leave it out.");
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
