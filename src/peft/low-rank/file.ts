/**
 * @file How methods with two thin matrices store their tensors in files. A file always holds an ordinary adapter, whatever the
 * initial values were.
 */
import { dimsOf, sizeAt } from "../../graph/shape.ts";
import { Random } from "../../random.ts";
import { hostTensor, zeros } from "../../runtime/host-tensor.ts";
import type { SiteStart, SiteTensors } from "../sites/site.ts";
import { fillFactors, startsFromWeight } from "./start.ts";
import { FROZEN_A, FROZEN_B, LINEAR_NAMES, type LowRankSite } from "./low-rank.ts";

const [A, B] = LINEAR_NAMES;

/** Converts a site's tensors to those in a file, an ordinary adapter. Other tensors are unchanged. */
export function lowRankToTensors({ [FROZEN_A]: a0, [FROZEN_B]: b0, ...others }: SiteTensors): SiteTensors {
  if (!a0 || !b0) return others;
  const [down, up] = [others[A]!, others[B]!];
  const [rank, inFeatures] = dimsOf(down.shape, 2);
  const outFeatures = sizeAt(up.shape, 0);
  const bothDown = new Float32Array(2 * rank * inFeatures);
  bothDown.set(down.data);
  bothDown.set(a0.data, down.data.length);
  const bothUp = new Float32Array(2 * rank * outFeatures);
  for (let row = 0; row < outFeatures; row++) {
    const from = row * rank;
    bothUp.set(up.data.subarray(from, from + rank), 2 * from);
    bothUp.set(
      b0.data.subarray(from, from + rank).map((value) => -value),
      2 * from + rank,
    );
  }
  return {
    ...others,
    [A]: hostTensor("float32", [2 * rank, inFeatures], bothDown),
    [B]: hostTensor("float32", [outFeatures, 2 * rank], bothUp),
  };
}

/** The reverse of `lowRankToTensors` for an adapter with these options. */
export function lowRankFromTensors(
  held: SiteTensors,
  options: LowRankSite,
  site: Pick<SiteStart, "spec" | "weight">,
): SiteTensors | Promise<SiteTensors> {
  const { rank, init } = options;
  const [down, up] = [held[A], held[B]];
  if (!startsFromWeight(init) || !down || !up) return held;
  if (down.shape[0] !== 2 * rank || up.shape[1] !== 2 * rank) return onRemadeStart(held, options, site);
  const [inFeatures, outFeatures] = [sizeAt(down.shape, 1), sizeAt(up.shape, 0)];
  const half = (from: number, sign: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: outFeatures * rank }, (_, i) => {
      const [row, column] = [Math.floor(i / rank), i % rank];
      return sign * up.data[2 * rank * row + from + column]!;
    });
  const size = rank * inFeatures;
  return {
    ...held,
    [A]: hostTensor("float32", [rank, inFeatures], down.data.slice(0, size)),
    [B]: hostTensor("float32", [outFeatures, rank], half(0, 1)),
    [FROZEN_A]: hostTensor("float32", [rank, inFeatures], down.data.slice(size)),
    [FROZEN_B]: hostTensor("float32", [outFeatures, rank], half(rank, -1)),
  };
}

/**
 * Reads a file with only A and B, as PEFT saves them without conversion: the subtracted start is recomputed from the weight. It
 * is not random: the generator only initialises the iteration of the decomposition.
 */
async function onRemadeStart(
  held: SiteTensors,
  { rank, init, scale }: LowRankSite,
  site: Pick<SiteStart, "spec" | "weight">,
): Promise<SiteTensors> {
  const { inFeatures, outFeatures } = site.spec;
  const [down, up] = [zeros("float32", [rank, inFeatures]), zeros("float32", [outFeatures, rank])];
  await fillFactors({ down, up }, site, { start: init, rank, scale }, new Random(0));
  return { ...held, [FROZEN_A]: down, [FROZEN_B]: up };
}
