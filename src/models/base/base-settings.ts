/**
 * @file Describes what a base computes beside its tensors, in one form for all its files: attention and rotation, and of each
 * part constants, activations, and attributes that are fractions, words or counts of chosen experts. Other operations are left
 * out, so that building a part in another way changes nothing here.
 */
import { nodesOf } from "../../graph/program.ts";
import type { AttentionOptions } from "../../nn/builder.ts";
import { Sha256 } from "../../sha256.ts";
import type { BuiltPart } from "../graphs/built-part.ts";
import { PLAIN_PART } from "../graphs/part-options.ts";
import type { Model } from "../model.ts";
import { ropeOf, show } from "../same-model.ts";

/** Version of this form; hashes of different forms cannot be compared. Raise it when a model's description changes. */
const FORM = "1";
const NUM_DIGITS = 12;

/** The attribute for how many are chosen, such as experts of a token. */
const CHOSEN = "k";

/** Pattern of a hash; the first group is its form. */
export const SETTINGS_HASH = `(\\d)[0-9a-f]{${NUM_DIGITS}}`;

/** Hashes the description of what a base computes beside its tensors. */
export function hashSettings(model: Model): string {
  return FORM + new Sha256().update(describeSettings(model)).digest().slice(0, NUM_DIGITS);
}

/** Whether two hashes may be of the same settings; a missing one, or one of another form, may be of any. */
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
  // Pass inputs that depend on settings have these in their names.
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
