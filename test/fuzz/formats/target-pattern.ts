/** @file Patterns of modules, whole and by key. */
import { linearSite } from "../../tiny/sites.ts";
import { patternValues, selectTargets } from "../../../src/peft/sites/targets.ts";
import type { FuzzFormat } from "../format.ts";
import { mutateText, pick } from "../mutate.ts";

const CORPUS = [
  ".*\\.(q|v)_proj",
  "^(?!.*(lm_head|emb)).*proj$",
  "(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)|(?:\\bmodel\\.layers\\.[\\d]{1,}\\.mlp)",
  "(([a-z0-9_.])+)+!",
  "model\\.layers\\.\\d+\\.self_attn\\.q_proj",
];
const WORDS = [
  "(",
  ")",
  "+",
  "*",
  "?",
  "{1,}",
  "{99999}",
  "(?:",
  "(?=",
  "(?!",
  "(?<=",
  "\\1",
  "[^a]",
  ".*",
  "|",
  "(a+)+",
  "$",
  "\\p{L}",
  "(?i:",
];
const PATHS = ["q_proj", "v_proj"].flatMap((name) =>
  [0, 1, 2].map((layer) => ({
    path: `model.layers.${layer}.self_attn.${name}`,
    layer,
    spec: linearSite(name, 4, 4),
  })),
);

export const targetPattern: FuzzFormat = {
  name: "target-pattern",
  numCases: 1200,
  prepare: () => ({
    make: (random) => mutateText(random, pick(random, CORPUS), WORDS),
    read(input) {
      const pattern = input as string;
      patternValues({ [pattern]: 1 })((PATHS[0] as { path: string }).path);
      selectTargets(PATHS, { modules: pattern, exclude: [], layers: null });
      selectTargets(PATHS, { modules: "all-linear", exclude: pattern, layers: null });
    },
  }),
};
