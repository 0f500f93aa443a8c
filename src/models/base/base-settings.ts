/**
 * @file What else than its tensors decides what a base computes, in one form for all files of it: how heads attend and are
 * rotated, and of each part its constants, its activations, and of its attributes fractions, words and how many are chosen. Which operations
 * a part is built of is left out, so that another way of building it changes nothing here.
 */
import { nodesOf } from "../../graph/program.ts";
import type { AttentionOptions } from "../../nn/builder.ts";
import { Sha256 } from "../../sha256.ts";
import type { BuiltPart } from "../graphs/built-part.ts";
import { PLAIN_PART } from "../graphs/part-options.ts";
import type { Model } from "../model.ts";
import { ropeOf, show } from "../same-model.ts";

/** Number of this form: hashes of different forms tell nothing. To be raised where a model's description changes. */
const FORM = "1";
const NUM_DIGITS = 12;

/** The attribute that says how many of several are taken, as experts of a token. */
const CHOSEN = "k";

/** What a hash looks like; the first group is its form. */
export const SETTINGS_HASH = `(\\d)[0-9a-f]{${NUM_DIGITS}}`;

/** Hashes what decides what a base computes beside its tensors. */
export function hashSettings(model: Model): string {
  return FORM + new Sha256().update(describeSettings(model)).digest().slice(0, NUM_DIGITS);
}

/** Whether two hashes may be of the same settings: one that is missing, or of another form, may be of any. */
export function mayBeAlike(a: string | undefined, b: string | undefined): boolean {
  return a === b || a?.[0] !== b?.[0];
}

function describeSettings(model: Model): string {
  const byKind = new Map<number, string>();
  const layers = model.layers.map(({ kind, attention }, i) => {
    const known = byKind.get(kind);
    if (known !== undefined) return known;
    const attends = attention && describeAttention(attention, model.maxPositions);
    const found = show([attends, describePart(model.buildBlock(i, PLAIN_PART))]);
    byKind.set(kind, found);
    return found;
  });
  const [stem, head] = [model.buildStem(PLAIN_PART), model.buildHead(PLAIN_PART)].map(describePart);
  return show([layers, stem, head]);
}

function describeAttention({ rope, ...options }: AttentionOptions, maxPositions: number): unknown {
  const told = Object.entries(options).filter(([, value]) => value !== undefined);
  return [told.toSorted(([a], [b]) => (a < b ? -1 : 1)), rope && ropeOf(rope, maxPositions)];
}

function describePart({ part, x, y }: BuiltPart): unknown {
  const tables = new Set([...part.tables.values()].map(({ value }) => value));
  // Those that are made with numbers for each pass have them in their names.
  const found = new Set([...part.passInputs.keys()].filter((name) => name.includes("(")));
  for (const { op, inputs, attributes } of nodesOf({
    name: "part",
    inputs: { ...part.inputs(), x },
    outputs: { y },
  })) {
    const told = Object.entries(attributes);
    if (inputs.length === 1 && told.length === 0) found.add(op.name);
    for (const [key, value] of told) {
      const isFraction = typeof value === "number" && !Number.isInteger(value);
      if (isFraction || typeof value === "string" || key === CHOSEN) found.add(show([key, value]));
    }
    for (const value of inputs) {
      const data = value.node || tables.has(value) ? undefined : value.graph.constantData.get(value);
      if (data) found.add(show([...data].map(Number)));
    }
  }
  return [...found].sort();
}
