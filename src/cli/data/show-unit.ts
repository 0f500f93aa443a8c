/**
 * @file Shows an example as the model sees it: distinguishes trained text, masked text and text that is cut.
 *
 * Without colours, trained text is shown as [+text+] and cut text as [-text-].
 */
import type { ClassExample } from "../../data/examples/class-example.ts";
import { type Comparison, promptLength, type ComparedExample } from "../../data/examples/comparison.ts";
import type { DataKind, UnitOptions } from "../../data/examples/data-kinds.ts";
import type { Example } from "../../data/examples/example.ts";
import { lostRanges } from "../../data/examples/lost-ranges.ts";
import { type ExamplePiece, describeExample } from "../../data/examples/show.ts";
import { sequencesOf } from "../../data/examples/training-unit.ts";
import { describeSource } from "../../data/reports/places.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { CommandIO } from "../command.ts";

/** A unit of text data: a single sequence, or several that are compared. */
type ShownSequence = Example | ComparedExample | ClassExample;
export type TextUnit = ShownSequence | Comparison;

/** A unit before and after it is cut for training. */
interface CutUnit {
  readonly whole: TextUnit;
  readonly kept: TextUnit;
  /** Whether nothing is left to learn, so that training leaves it out. */
  readonly isDropped: boolean;
}

/** Ids that a sequence has lost: from its prompt, and from its end. */
interface LostIds {
  readonly start: Int32Array;
  readonly end: Int32Array;
}

/** Cuts a unit as training does. */
export function cutUnit(whole: TextUnit, kind: DataKind<TextUnit>, options: UnitOptions): CutUnit {
  const isLong = sequencesOf(whole).some(({ ids }) => ids.length > options.maxLength);
  const kept = isLong ? kind.fit(whole, options) : whole;
  return { whole, kept, isDropped: !kind.isUseful(kept) };
}

/** Only a prompt in a comparison loses its beginning, after bos; a text to classify keeps the special tokens at its end. */
function lostIds(whole: ShownSequence, kept: ShownSequence, tokenizer: Tokenizer): LostIds {
  const { bosId } = tokenizer;
  if ("label" in whole) {
    const lost = lostRanges(whole, tokenizer, kept.ids.length);
    return {
      start: new Int32Array(),
      end: Int32Array.from(lost.flatMap(([from, to]) => [...whole.ids.subarray(from, to)])),
    };
  }
  const isCompared = "role" in whole && "role" in kept;
  const numStart = isCompared ? Math.max(0, promptLength(whole) - promptLength(kept)) : 0;
  const numHead = numStart > 0 && kept.ids[0] === bosId ? 1 : 0;
  return {
    start: whole.ids.slice(numHead, numHead + numStart),
    end: whole.ids.slice(numStart + kept.ids.length),
  };
}

const numLost = ({ start, end }: LostIds): number => start.length + end.length;

/** Pairs the sequences of a unit: whole, and as they are kept. */
export function sequencePairs({
  whole,
  kept,
}: CutUnit): readonly (readonly [ShownSequence, ShownSequence])[] {
  const before = sequencesOf(whole);
  return sequencesOf(kept).map((sequence, i) => [before[i]!, sequence]);
}

function paint({ text, trained }: ExamplePiece, io: CommandIO): string {
  if (!io.color.isColorSupported) return trained ? `[+${text}+]` : text;
  return trained ? io.color.green(text) : io.color.dim(text);
}

function paintCut(text: string, io: CommandIO): string {
  if (text === "") return "";
  return io.color.isColorSupported ? io.color.red(io.color.strikethrough(text)) : `[-${text}-]`;
}

/** Shows a unit, sequence by sequence. */
export function showUnit(unit: CutUnit, { tokenizer, classes }: UnitOptions, io: CommandIO): void {
  for (const [whole, kept] of sequencePairs(unit)) {
    const { pieces, numTrained } = describe(kept, tokenizer);
    const lost = lostIds(whole, kept, tokenizer);
    const [cutStart, cutEnd] = [tokenizer.decode(lost.start), tokenizer.decode(lost.end)];
    const { file, line } = kept.source;
    const className = "label" in kept ? nameOf(kept.label, classes?.names ?? []) : null;
    const notes = [
      ...("role" in kept ? [kept.role] : []),
      ...(className === null ? [] : [`class ${className}`]),
      `${whole.ids.length} tokens`,
      ...(className === null ? [`${numTrained} trained`] : []),
      ...(numLost(lost) > 0 ? [`${numLost(lost)} cut`] : []),
      ...(unit.isDropped ? ["left out"] : []),
    ];
    io.stdout(io.color.bold(`${describeSource(kept.source)}  ${notes.join(", ")}`));
    const shown = pieces.map((piece) => paint(piece, io)).join("");
    io.stdout(`${(paintCut(cutStart, io) + shown + paintCut(cutEnd, io)).trimEnd()}\n`);
    io.emit({
      event: "example",
      file,
      line,
      ...("role" in kept ? { role: kept.role } : {}),
      ...(className === null ? {} : { class: className }),
      tokens: whole.ids.length,
      trained_tokens: numTrained,
      cut_tokens: numLost(lost),
      dropped: unit.isDropped,
      pieces,
      cut_text: cutStart + cutEnd,
    });
  }
}

/** The name of a class, or the numbers of the outputs, each after its name. */
function nameOf(label: ClassExample["label"], names: readonly string[]): string {
  return typeof label === "number"
    ? (names[label] ?? "")
    : names.map((name, i) => `${name} ${Number(label[i]!.toPrecision(6))}`).join(", ");
}

/** Describes a sequence; a text to classify has no trained tokens. */
function describe(sequence: ShownSequence, tokenizer: Tokenizer): ReturnType<typeof describeExample> {
  const example: Example | ComparedExample =
    "weights" in sequence ? sequence : { ...sequence, weights: new Float32Array(sequence.ids.length) };
  return describeExample(example, tokenizer);
}
