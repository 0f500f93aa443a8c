/**
 * @file Scales queries up with their position, so that attention over many keys stays as sharp as over few:
 *
 *   q ← q (1 + β log(1 + ⌊p / P⌋))     p: position, P: length of the stretches with equal scale
 *
 * As in Llama 4 and Ministral 3. Rotation is linear, so it does not matter that queries are scaled before it.
 */
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import type { Norm } from "./norms.ts";
import { passInput } from "./pass.ts";

/** Scales queries [B, T, H·E]; used in the place of a query norm. */
export function queryScale(given: number, numPositions: number): Norm {
  // Rounded as in GGUF files, so that a model is the same from both formats.
  const beta = Math.fround(given);
  const scale = passInput({
    name: `queryScale(${beta}, ${numPositions})`,
    dtype: "float32",
    shape: ["B", "T", 1],
    perPrompt: false,
    fill: ({ positions }, data) => {
      for (let i = 0; i < data.length; i++)
        data[i] = 1 + beta * Math.log(1 + Math.floor(Number(positions[i]) / numPositions));
    },
  });
  return (b, _name, queries) => mul(queries, b.input(scale));
}
