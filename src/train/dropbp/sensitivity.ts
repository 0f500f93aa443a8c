/**
 * @file How much the gradients change when one branch is left out of the backward pass, by both published definitions.
 *
 *   norm      C_i = Σ_k (‖g_k‖ - ‖g_k^(i)‖)²
 *   gradient  C_i = Σ_k ‖g_k - g_k^(i)‖²
 *
 *   g_k gradient of parameter k  g_k^(i) the same without branch i; an absent gradient counts as 0
 * Paper: as in `allocate-rates`; `norm` is the default of its code, `gradient` is the definition in the text.
 */
import type { VectorGroup } from "../../optim/updater.ts";
import type { GradientGroup } from "../../run/gradients/gradient-buffer.ts";

interface Gradients extends Pick<GradientGroup, "values" | "present"> {
  readonly group: Pick<VectorGroup, "parameters">;
}

/** What others are compared with: a number or a vector for each parameter. */
type Kept = readonly ArrayLike<number>[];

export interface Sensitivity {
  readonly name: string;
  /** What is compared, in the help of `--dropbp-rates`. */
  readonly summary: string;
  /** Whether all gradients of a group are copied, which doubles their memory. */
  readonly keepsAll: boolean;
  /** Reads from gradients what others are compared with. */
  read(groups: readonly Gradients[]): Promise<Kept>;
  /** Sums the squared differences from `kept`. */
  distance(kept: Kept, groups: readonly Gradients[]): Promise<number>;
}

/** The gradient of each parameter, as a range of its group's; `isThere` false: it has none. */
function ofParameters(groups: readonly Gradients[]) {
  return groups.flatMap(({ group, values, present }) =>
    group.parameters.map(({ offset, length }, i) => ({
      values,
      from: offset,
      to: offset + length,
      isThere: present[i] === true,
    })),
  );
}

/** Norm of the gradient of each parameter, 0 where there is none. */
async function norms(groups: readonly Gradients[]): Promise<number[]> {
  const found: number[] = [];
  for (const { values, from, to, isThere } of ofParameters(groups)) {
    let sum = 0;
    // Read in place: a copy of an embedding's gradient would be as large as the embedding.
    const add = (view: Float32Array): void => {
      for (let j = 0; j < view.length; j++) sum += view[j]! * view[j]!;
    };
    if (isThere) await values.visit(from, to, "read", add);
    found.push(Math.sqrt(sum));
  }
  return found;
}

const norm: Sensitivity = {
  name: "norm",
  summary: "gradient norms",
  keepsAll: false,
  read: async (groups) => [await norms(groups)],
  async distance([kept = []], groups) {
    const found = await norms(groups);
    return found.reduce((sum, value, i) => sum + (kept[i]! - value) ** 2, 0);
  },
};

const gradient: Sensitivity = {
  name: "gradient",
  summary: "gradients",
  keepsAll: true,
  async read(groups) {
    const found: Float32Array[] = [];
    for (const { values, from, to, isThere } of ofParameters(groups))
      found.push(isThere ? await values.read(from, to) : new Float32Array(to - from));
    return found;
  },
  async distance(kept, groups) {
    let sum = 0;
    for (const [i, { values, from, to, isThere }] of ofParameters(groups).entries()) {
      const whole = kept[i]!;
      const add = (view: Float32Array, at: number): void => {
        for (let j = 0; j < view.length; j++) sum += (whole[at - from + j]! - view[j]!) ** 2;
      };
      if (isThere) await values.visit(from, to, "read", add);
      else for (let j = 0; j < whole.length; j++) sum += whole[j]! ** 2;
    }
    return sum;
  },
};

/** The default of the code of the paper. */
export const DEFAULT_SENSITIVITY = norm;

export const SENSITIVITIES: readonly Sensitivity[] = [norm, gradient];
