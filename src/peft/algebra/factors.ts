/**
 * @file Adapters whose change is a product of two factors, scale · up · down, combined at one site.
 *
 * Only stacking factors (`stack`) is exact; treating the factors separately makes cross terms of one adapter's A and another one's B.
 */
import { assertInternal } from "../../errors.ts";
import { sizeAt } from "../../graph/shape.ts";
import { type HostTensor, hostTensor } from "../../runtime/host-tensor.ts";
import type { FactorPair, Term } from "./contract.ts";
import type { Mix, Numbers } from "./mixing.ts";

type Tensor = HostTensor<"float32">;

/** Concatenates factors, so that the product is the weighted sum of the products; weights and scales go into A. */
export function stack(terms: readonly Pick<Term<FactorPair>, "weight" | "of">[]): FactorPair {
  const rank = terms.reduce((sum, { of }) => sum + rankOf(of), 0);
  const [first] = terms;
  assertInternal(first, "a sum has a term");
  const inFeatures = first.of.down.data.length / rankOf(first.of);
  const outFeatures = first.of.up.data.length / rankOf(first.of);
  const down = hostTensor("float32", [rank, inFeatures], new Float32Array(rank * inFeatures));
  const up = hostTensor("float32", [outFeatures, rank], new Float32Array(outFeatures * rank));
  let at = 0;
  for (const { weight, of: pair } of terms) {
    const own = rankOf(pair);
    down.data.set(scaled(pair.down, weight * pair.scale).data, at * inFeatures);
    for (let row = 0; row < outFeatures; row++) {
      up.data.set(pair.up.data.subarray(row * own, (row + 1) * own), row * rank + at);
    }
    at += own;
  }
  return { down, up, scale: 1 };
}

/** Multiplies one adapter by a number, exactly. */
export function scale({ weight, of: pair }: Pick<Term<FactorPair>, "weight" | "of">): FactorPair {
  return { down: scaled(pair.down, weight * pair.scale), up: scaled(pair.up, 1), scale: 1 };
}

/** Mixes the two factors separately, each weighted by √|w s|, with the sign only on A, as peft does. */
export function mixFactors(
  terms: readonly Pick<Term<FactorPair>, "weight" | "of">[],
  mix: Mix,
  position: number,
): FactorPair {
  const sizes = terms.map(({ weight, of: pair }) => Math.sqrt(Math.abs(weight * pair.scale)));
  const signed = sizes.map((size, i) => ((terms[i]?.weight ?? 0) < 0 ? -size : size));
  const pairs = terms.map(({ of }) => of);
  return { ...mixEach(pairs, { down: signed, up: sizes }, mix, position), scale: 1 };
}

/** The paper's ⊕ and ⊖: averages parameters, with the sign on one of the factors. */
export function averageFactors(
  terms: readonly Pick<Term<FactorPair>, "coefficient" | "of">[],
  negated: "A" | "B",
  mix: Mix,
): FactorPair {
  const signed = terms.map(({ coefficient }) => coefficient.signed);
  const kept = terms.map(({ coefficient }) => coefficient.kept);
  const pairs = terms.map(({ of }) => of);
  const weights = negated === "A" ? { down: signed, up: kept } : { down: kept, up: signed };
  return { ...mixEach(pairs, weights, mix, 0), scale: pairs[0]?.scale ?? 1 };
}

function mixEach(
  pairs: readonly FactorPair[],
  weights: Readonly<Record<"down" | "up", readonly number[]>>,
  mix: Mix,
  position: number,
): Pick<FactorPair, "down" | "up"> {
  const of = (which: "down" | "up", index: number): Tensor => {
    const tensors = pairs.map((pair) => pair[which]);
    const mixed: Numbers = mix(
      tensors.map(({ data }) => data),
      weights[which],
      [position, index],
    );
    return hostTensor("float32", tensors[0]?.shape ?? [], Float32Array.from(mixed));
  };
  return { down: of("down", 0), up: of("up", 1) };
}

/** The rank R of a pair. */
export function rankOf({ down }: FactorPair): number {
  return sizeAt(down.shape, 0);
}

function scaled({ shape, data }: Tensor, factor: number): Tensor {
  return hostTensor(
    "float32",
    shape,
    data.map((value) => value * factor),
  );
}
