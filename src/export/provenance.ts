/** @file Describes how combined and merged results were made, for their cards, using the cards of their sources. */
import { basename, resolve } from "node:path";
import type { Fact, Provenance } from "../format/cards/model-card.ts";
import { type ReadCard, readCard } from "../format/cards/read-card.ts";
import { nodeFolder } from "../format/files/node-folder.ts";
import type { Checkpoint } from "../format/checkpoint/checkpoint.ts";
import type { Adapter } from "../peft/attach.ts";
import type { CombineOptions } from "../peft/algebra/combinations.ts";
import { type Sum, formatExpression } from "../peft/algebra/expression.ts";

/** Describes how adapters or models were combined; `license` null: that of their cards, if they agree. */
export async function describeCombination(
  sum: Sum,
  paths: Readonly<Record<string, string>>,
  { type, ...options }: CombineOptions,
  license: string | null,
): Promise<Provenance> {
  const cards: [name: string, ReadCard][] = [];
  for (const [name, path] of Object.entries(paths)) cards.push([name, await readCard(nodeFolder(path))]);
  // A card by another program states the adapter's own licence, not the base's.
  const licenses = new Set(cards.map(([, card]) => (card.facts.length === 0 ? null : card.license)));
  const [common = null] = licenses.size === 1 ? licenses : [];
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return {
    license: license ?? common,
    datasets: [],
    facts: [
      ["made by", "graft combine"],
      ["expression", formatExpression(sum)],
      ["type", type],
      ...Object.entries(paths).map(([name, path]): Fact => [name, basename(resolve(path))]),
    ],
    settings: given.length === 0 ? null : Object.fromEntries(given),
    parts: cards.map(([name, { facts }]) => ({ name, facts })),
  };
}

interface Making {
  readonly checkpoint: Pick<Checkpoint, "license">;
  /** null: there is none. */
  readonly adapter: Pick<Adapter, "method"> | null;
  readonly adapterPath?: string | undefined;
  readonly facts: readonly Fact[];
}

/** Describes how a command made a model from a base and an adapter. */
export async function describeMaking(
  command: string,
  { checkpoint, adapter, adapterPath, facts }: Making,
): Promise<Provenance> {
  const name = adapterPath === undefined ? "the adapter" : basename(resolve(adapterPath));
  const card = adapterPath === undefined ? null : await readCard(nodeFolder(adapterPath));
  const ofAdapter: Fact[] = adapter
    ? [
        ["adapter", name],
        ["method", adapter.method.name],
      ]
    : [];
  return {
    license: checkpoint.license,
    datasets: [],
    facts: [["made by", command], ...ofAdapter, ...facts],
    settings: null,
    parts: adapter ? [{ name, facts: card?.facts ?? [] }] : [],
  };
}
