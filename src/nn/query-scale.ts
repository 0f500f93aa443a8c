/**
 * @file Queries that grow with their position, so that attention over many keys stays as sharp as over few:
 *
 *   q ← q (1 + β log(1 + ⌊p / P⌋))     p: position, P: positions over which nothing changes
 *
 * As in Llama 4 and Ministral 3. A rotation leaves factors alone, so it does not matter that queries are scaled before theirs.
 */
import { mul } from "../graph/ops/pointwise/elementwise.ts";
import type { Norm } from "./norms.ts";
import { passInput } from "./pass.ts";

/** Scales queries [B, T, H·E], where others have a norm. */
export function queryScale(given: number, numPositions: number): Norm {
  // As GGUF files hold it, so that a model is the same from both.
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
