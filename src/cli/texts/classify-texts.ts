/** @file Classifies a text, or all texts of a file, and prints or stores the results in their order. */
import {
  type ClassExample,
  type ClassReading,
  encodeWhole,
  fitClassExample,
  makeClassExample,
  readWholeText,
} from "../../data/examples/class-example.ts";
import type { RowSource } from "../../data/formats/parsed-row.ts";
import { maxLengthFor } from "../../data/max-length.ts";
import type { Columns } from "../../data/rows/columns.ts";
import type { RawFields } from "../../data/rows/row-error.ts";
import { Classifier, requireClasses } from "../../engine/classifier.ts";
import { type Judgement, judge } from "../../engine/judgement.ts";
import { type ModelParts, withTextTools } from "../../engine/opening/model-parts.ts";
import { writeTextAtomic } from "../../format/files/atomic.ts";
import { formatCountOf, formatFixed } from "../../messages/numbers.ts";
import type { CommandIO } from "../command.ts";
import { openUnits } from "../data/evaluation.ts";
import { warn } from "../report.ts";
import { readRows } from "./rows-file.ts";

/** Texts to classify, and options. */
type ClassifyRequest = Parameters<typeof openUnits>[1] & {
  readonly text?: string | undefined;
  readonly textPair?: string | undefined;
  readonly data?: string | undefined;
  /** File for the results. Default: they are printed. */
  readonly output?: string | undefined;
  readonly columns: Columns;
  readonly maxLength?: number | undefined;
};

/** A text as in its row, and as the model reads it. */
interface ReadText {
  readonly line: number;
  readonly row: RawFields;
  readonly example: ClassExample;
  readonly isCut: boolean;
}

/** Number of texts between two checks for a stop. */
const TEXTS_AT_A_TIME = 32;

/**
 * Classifies all texts.
 * @throws UsageError "usage/model" for a model that is not a classifier; as `readRows`; the signal's reason when it was stopped
 */
export async function classifyTexts(
  request: ClassifyRequest,
  parts: ModelParts,
  io: CommandIO,
): Promise<void> {
  const { model } = parts.base;
  const classes = requireClasses(parts.base);
  const maxLength = Math.min(maxLengthFor(model, request.maxLength), model.maxPositions);
  const { notes, tokenizer } = withTextTools(parts);
  for (const note of notes) warn(note, io);
  const texts = await readTexts(request, { tokenizer, classes }, maxLength);
  const numCut = texts.filter(({ isCut }) => isCut).length;
  if (numCut > 0)
    warn(`${formatCountOf(numCut, "text")} truncated to ${maxLength} tokens (--max-length)`, io);
  const examples = texts.map(({ example }) => example);
  const found = await judgeAll(request, parts, examples, io);
  const judgements = found.map((logits) => judge(model, classes.names, logits));
  const { output } = request;
  if (output !== undefined) {
    const rows = texts.map(({ row }, i) => `${JSON.stringify({ ...row, ...judgements[i] })}\n`);
    await writeTextAtomic(output, rows.join(""));
  }
  for (const [i, { line }] of texts.entries()) {
    if (output === undefined) io.stdout(shown(judgements[i]!));
    io.emit({ event: "text", line, ...judgements[i] });
  }
  if (output !== undefined) io.stdout(`${formatCountOf(texts.length, "text")} in ${output}`);
  io.emit({ event: "done", texts: texts.length, output: output ?? null });
}

/** Reads the given text, or those of a file. */
async function readTexts(
  { text, textPair, data, columns }: ClassifyRequest,
  reading: ClassReading,
  maxLength: number,
): Promise<readonly ReadText[]> {
  const read = (row: RawFields, source: RowSource): Omit<ReadText, "line"> => {
    const whole = makeClassExample(
      encodeWhole(reading.tokenizer, readWholeText(row)),
      0,
      reading.classes,
      source,
    );
    const isCut = whole.ids.length > maxLength;
    return { row, example: isCut ? fitClassExample(whole, { ...reading, maxLength }) : whole, isCut };
  };
  if (data !== undefined) return await readRows({ path: data, what: "texts", key: "text", columns }, read);
  const row = { text, ...(textPair === undefined ? {} : { text_pair: textPair }) };
  return [{ line: 1, ...read(row, { file: "--text", line: 1 }) }];
}

/** Computes the logits of each example. */
async function judgeAll(
  request: ClassifyRequest,
  parts: ModelParts,
  examples: readonly ClassExample[],
  io: CommandIO,
): Promise<readonly Float32Array[]> {
  const session = await openUnits(parts, request, examples, io);
  const bar = io.progress("judging", examples.length, "steps");
  try {
    const classifier = await Classifier.create(session, parts.adapter);
    const found: Float32Array[] = [];
    while (found.length < examples.length) {
      io.signal.throwIfAborted();
      const some = examples.slice(found.length, found.length + TEXTS_AT_A_TIME);
      found.push(...(await classifier.classify(some)).map(({ logits }) => logits));
      bar.update(found.length);
    }
    return found;
  } finally {
    bar.stop();
    await session.release();
  }
}

/** The result for people, with probabilities. */
function shown({ predicted, scores }: Judgement): string {
  const names = [predicted].flat();
  if (names.length === 0) return "none";
  return names
    .map((name) => (typeof name === "number" ? String(name) : `${name} ${formatFixed(scores![name]!, 3)}`))
    .join(", ");
}
