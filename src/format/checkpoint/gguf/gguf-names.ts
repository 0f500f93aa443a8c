/** @file Translates names of tensors between the GGUF files and the folders of a family, by the family's rules. */
import { lookup } from "../../files/lookup.ts";
import type { GgufChange, GgufModule, GgufPart, GgufRules } from "../../../models/config/gguf-rules.ts";

export type GgufHalf = Extract<GgufPart, "first-half" | "second-half">;

/** Whether a tensor of a file holds half of the rows of a folder's tensor. */
export function isHalf(change: GgufChange | null): change is GgufHalf {
  return change === "first-half" || change === "second-half";
}

type GgufHeads = Extract<GgufPart, "key-heads" | "value-heads">;

/** Whether it holds the rows of keys or of values, by heads, of a folder's tensor. */
export function isOfHeads(change: GgufChange | null): change is GgufHeads {
  return change === "key-heads" || change === "value-heads";
}

type GgufTurn = Extract<GgufPart, "stacked-even-rows" | "stacked-odd-rows">;

/** Whether it holds every second row of the matrices of all experts. */
export function isEverySecond(change: GgufChange | null): change is GgufTurn {
  return change === "stacked-even-rows" || change === "stacked-odd-rows";
}

/** Whether it holds one part of a folder's tensor, and another tensor the other. */
export function isPart(change: GgufChange | null): change is GgufPart {
  return isHalf(change) || isOfHeads(change) || isEverySecond(change);
}

/** Whether it holds the matrices of all experts or heads, or parts of them. */
export function isStacked(change: GgufChange | null): change is "stacked" | GgufTurn {
  return change === "stacked" || isEverySecond(change);
}

/** Changes that apply only to tensors named `weight`; reordering of rows and stacking also apply to biases. */
const OF_WEIGHTS: readonly (GgufChange | null)[] = ["plus-one", "taps", "value-taps", "transposed"];

function changeOf({ change }: GgufModule, part: string | undefined): GgufChange | null {
  return part !== "weight" && OF_WEIGHTS.includes(change) ? null : change;
}

/** Paths of the modules whose matrices lie in a tensor, one below the other. */
function pathsOf({ path, below }: GgufModule): readonly string[] {
  return below === undefined ? [path] : [path, below];
}

/** A tensor of a GGUF file in Hugging Face's terms. */
interface GgufName {
  /** The name of part `number` of a stack; for other tensors `number` is ignored. */
  hfName(number: number): string;
  /** Number of parts per expert. */
  readonly numCuts: number;
  readonly change: GgufChange | null;
  /** Whether such a tensor is only read: graft writes its contents under other names. */
  readonly isReadOnly: boolean;
}

/** Translates the name of a tensor; null when the family has no such tensor. */
export function translateName(rules: GgufRules, ggufName: string): GgufName | null {
  const { block, tensor = "" } = /^(?:blk\.(?<block>\d+)\.)?(?<tensor>.+)$/.exec(ggufName)?.groups ?? {};
  const table = block === undefined ? rules.outsideBlocks : rules.inBlock;
  const before = block === undefined ? "" : `${rules.blockPrefix}${block}.`;
  const whole = lookup(table, tensor);
  if (whole?.isTensor) {
    return { hfName: () => before + whole.path, numCuts: 1, change: whole.change, isReadOnly: false };
  }
  const { module = "", part } = /^(?<module>.+)\.(?<part>weight|bias)$/.exec(tensor)?.groups ?? {};
  const found = lookup(table, module);
  if (found === undefined || found.isTensor) return null;
  const paths = pathsOf(found);
  return {
    hfName(number) {
      const expert = Math.floor(number / paths.length);
      return `${before}${paths[number % paths.length]!.replace("*", String(expert))}.${part}`;
    },
    numCuts: paths.length,
    change: changeOf(found, part),
    isReadOnly: found.isReadOnly === true,
  };
}

/** A tensor of a folder in the terms of GGUF files. */
interface HfName {
  readonly ggufName: string;
  /** The file's tensor with the second part of its rows; null: `ggufName` has all rows. */
  readonly secondHalf: string | null;
  readonly change: GgufChange | null;
  /** Index of the part in its stack. */
  readonly place: number;
  readonly numCuts: number;
}

/** Translates a name back, the inverse of `translateName`; null when the family's files have no such tensor. */
export function toGgufName(rules: GgufRules, hfName: string): HfName | null {
  const whole = wholeTensor(rules, hfName);
  if (whole) return whole;
  const { path = "", part } = /^(?<path>.+)\.(?<part>weight|bias)$/.exec(hfName)?.groups ?? {};
  const inBlock = path.startsWith(rules.blockPrefix) ? path.slice(rules.blockPrefix.length) : null;
  const dot = inBlock?.indexOf(".") ?? 0;
  const module = inBlock?.slice(dot + 1) ?? path;
  const expert = /\.(\d+)(?=\.|$)/.exec(module)?.[1];
  const general = module.replace(/\.\d+(?=\.|$)/, ".*");
  const table = inBlock === null ? rules.outsideBlocks : rules.inBlock;
  const [found, second] = Object.entries(table).filter(
    ([, to]) => !to.isTensor && !to.isReadOnly && pathsOf(to).includes(general),
  );
  if (part === undefined || found === undefined) return null;
  const before = inBlock === null ? "" : `blk.${inBlock.slice(0, dot)}.`;
  const paths = pathsOf(found[1]);
  return {
    ggufName: `${before}${found[0]}.${part}`,
    secondHalf: second === undefined ? null : `${before}${second[0]}.${part}`,
    change: changeOf(found[1], part),
    place: paths.length * Number(expert ?? 0) + paths.indexOf(general),
    numCuts: paths.length,
  };
}

/** Translates the name of a tensor of a block that is not a module's weight or bias. */
function wholeTensor({ blockPrefix, inBlock }: GgufRules, hfName: string): HfName | null {
  if (!hfName.startsWith(blockPrefix)) return null;
  const { block, tensor } =
    /^(?<block>\d+)\.(?<tensor>.+)$/.exec(hfName.slice(blockPrefix.length))?.groups ?? {};
  const found = Object.entries(inBlock).find(([, to]) => to.isTensor && to.path === tensor);
  if (found === undefined) return null;
  const [name, { change }] = found;
  return { ggufName: `blk.${block}.${name}`, secondHalf: null, change, place: 0, numCuts: 1 };
}
