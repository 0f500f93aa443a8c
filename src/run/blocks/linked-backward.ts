/** @file The gradients that a block's backward program reads and writes for what it shares with other parts. */
import type { ProgramSpec } from "../../graph/program.ts";
import { LAYER_INPUT, OTHER_KEY, OTHER_VALUE } from "../../models/graphs/part-links.ts";
import type { Tensors } from "../../runtime/host-tensor.ts";
import type { PassContext } from "../context.ts";
import { gradientName } from "../gradients/gradient-outputs.ts";
import type { KeyRows } from "../links.ts";
import {
  GRADIENT_OF_KEY,
  GRADIENT_OF_VALUE,
  type LinkVariant,
  SUM_OF_KEY,
  SUM_OF_VALUE,
} from "./block-gradients.ts";

/** A block that shares something with other parts. */
interface LinkedBlock {
  readonly layer: number;
  readonly keysFrom: number | null;
  /** Names of inputs from other parts that want their gradients. */
  readonly wanted: readonly string[];
  readonly givesKeys: boolean;
}

export interface LinkedBackward {
  readonly variant: LinkVariant;
  /** What is fed to the program and where it writes; call `end` after it has run. */
  begin(spec: ProgramSpec): { readonly feeds: Tensors; readonly into: Tensors; end(): void };
}

/** Finds the gradients so far; `acquire` provides memory for two outputs of a program. */
export function linkedBackward(
  { links }: PassContext,
  { layer, keysFrom, wanted, givesKeys }: LinkedBlock,
  acquire: (spec: ProgramSpec, names: readonly [string, string]) => KeyRows,
): LinkedBackward {
  const { gradients, layers } = links;
  const wantsKeys = wanted.includes(OTHER_KEY);
  const sums = keysFrom !== null && wantsKeys ? gradients.ofKeys(keysFrom) : null;
  const own = givesKeys ? gradients.ofKeys(layer) : null;
  return {
    variant: { wanted, isAdded: sums !== null, isGiven: own !== null },
    begin(spec) {
      const ofKeys = [gradientName(OTHER_KEY), gradientName(OTHER_VALUE)] as const;
      const ofLayer = gradientName(LAYER_INPUT);
      const made = ofKeys.every((name) => name in spec.outputs) ? acquire(spec, ofKeys) : null;
      return {
        feeds: {
          ...(sums && { [SUM_OF_KEY]: sums.key, [SUM_OF_VALUE]: sums.value }),
          ...(own && { [GRADIENT_OF_KEY]: own.key, [GRADIENT_OF_VALUE]: own.value }),
        },
        into: {
          ...(made && { [ofKeys[0]]: made.key, [ofKeys[1]]: made.value }),
          ...(layers && ofLayer in spec.outputs && { [ofLayer]: gradients.ofLayer(layer, layers) }),
        },
        end() {
          if (made && keysFrom !== null) gradients.setKeys(keysFrom, made);
          if (own) gradients.setKeys(layer, null);
        },
      };
    },
  };
}
