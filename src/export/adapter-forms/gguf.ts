/**
 * @file Adapters of llama.cpp: a GGUF file with `X.lora_a` and `X.lora_b` for tensor X of the model's own file.
 *
 *   x W + s · (α / R) · (x Aᵀ) Bᵀ     A [R, in]  B [out, R]     α = 0: only s, which the program that loads it sets
 *
 * If a converter moves or multiplies the rows of a matrix, the same is done to B. A of an embedding is stored as [V, R].
 */
import { openGguf, writeGguf } from "../../format/by-path.ts";
import { GGUF_ENDING } from "../../format/checkpoint/checkpoint.ts";
import { TENSOR_CHANGES } from "../../format/checkpoint/gguf/gguf-changes.ts";
import { factorsOf, foldingOf, scaleRows } from "../../format/checkpoint/gguf/gguf-factors.ts";
import {
  type GgufHalf,
  isHalf,
  isOfHeads,
  isPart,
  isStacked,
  toGgufName,
  translateName,
} from "../../format/checkpoint/gguf/gguf-names.ts";
import { encodeSettings } from "../../format/files/gguf/gguf-setting-bytes.ts";
import type { GgufFile } from "../../format/files/gguf/gguf.ts";
import type { GgufSource } from "../../format/files/gguf/gguf-writer.ts";
import { turned } from "../../linalg/transposed.ts";
import type { GgufChange, GgufRules } from "../../models/config/gguf-rules.ts";
import type { Model } from "../../models/model.ts";
import type { FactorPair } from "../../peft/algebra/contract.ts";
import { dequantize, storedFloats } from "../../quant/stored-tensor.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import { joinFactors, splitFactors } from "../half-factors.ts";
import { ggufRulesOf, headsOfModel } from "../merged/gguf-sources.ts";
import {
  type AdapterForm,
  type FloatMatrix,
  cannotConvert,
  cannotHold,
  requireOwnHead,
  requireSite,
  unlikeModel,
} from "../adapter-form.ts";

const ALPHA = "adapter.lora.alpha";
const KEPT_AS = { "general.type": "adapter", "adapter.type": "lora" } as const;

/** @throws UsageError "usage/adapter" for a family without GGUF files */
function rulesOf(model: Model): GgufRules {
  const rules = ggufRulesOf(model);
  if (rules !== null) return rules;
  throw cannotHold("gguf", `there are no such files for family ${model.modelType}`, "Choose another form.");
}

/** Reorders the rows of B, or the columns of A, as the model's file orders those of the matrix, or undoes it. */
function moved<P extends Pick<FactorPair, "up" | "down">>(
  pair: P,
  change: GgufChange | null,
  model: Model,
  which: "undo" | "redo",
): P {
  if (change === null || change === "stacked" || isPart(change)) return pair;
  const rule = TENSOR_CHANGES[change];
  const half = { rows: "up", columns: "down" } as const;
  if (rule.moves === null) return pair;
  const own = pair[half[rule.moves]];
  const found = rule[which](storedFloats(own), headsOfModel(model));
  return { ...pair, [half[rule.moves]]: hostTensor("float32", own.shape, dequantize(found)) };
}

/** Multiplies B by the factors of the configuration that the rows of the matrix contain in the model's file, or divides by them. */
function folded<P extends Pick<FactorPair, "up" | "down">>(
  pair: P,
  ggufName: string,
  model: Model,
  which: "multiply" | "divide",
): P {
  const folding = foldingOf(model, rulesOf(model), model.ties.size === 0);
  const factors = folding && factorsOf(folding.factors, ggufName);
  if (!factors) return pair;
  const data = pair.up.data.slice();
  scaleRows(data, pair.up.shape[1]!, factors, which);
  return { ...pair, up: hostTensor("float32", pair.up.shape, data) };
}

/** Both factors of a tensor of the model's file. */
function sourcesOf(ggufName: string, { down, up }: Pick<FactorPair, "down" | "up">): GgufSource[] {
  return Object.entries({ a: down, b: up }).map(([half, data]) => {
    const stored = storedFloats(data);
    return { ...stored, name: `${ggufName}.lora_${half}`, load: () => stored };
  });
}

/** The common α of all modules, s · R; null: they differ. */
function commonAlpha(factors: Iterable<FactorPair>): number | null {
  const alphas = new Set([...factors].map(({ down, scale }) => Math.fround(scale * down.shape[0]!)));
  const [alpha = 0] = alphas;
  // For a module without a change α would be 0, which has another meaning.
  return alphas.size === 1 && alpha !== 0 ? alpha : null;
}

/** @throws UsageError "usage/adapter" for a file that is no adapter of this kind for the model's family */
function requireAdapter({ path, metadata }: GgufFile, { architecture }: GgufRules): number {
  const expected = { ...KEPT_AS, "general.architecture": architecture };
  for (const [key, value] of Object.entries(expected)) {
    if (metadata[key] === value) continue;
    const found = `${key} is ${JSON.stringify(metadata[key] ?? null)}`;
    throw cannotConvert(path, found, `"${value}"`, "Choose an adapter, and the model that it was made for.");
  }
  const tokens = "adapter.alora.invocation_tokens";
  if (tokens in metadata) {
    throw cannotConvert(path, `${tokens} is set`, "an adapter for all tokens", "graft has no such adapters.");
  }
  const alpha = Number(metadata[ALPHA]);
  if (Number.isFinite(alpha)) return alpha;
  throw cannotConvert(path, `${ALPHA} is missing or no number`, "a number", "Convert it to GGUF again.");
}

/** Reads both halves of each tensor of the model, by its name in files. @throws FormatError "format/tensor" for anything else */
async function readHalves(file: GgufFile): Promise<Map<string, { down: FloatMatrix; up: FloatMatrix }>> {
  const halves = new Map<string, { a?: FloatMatrix; b?: FloatMatrix }>();
  for (const tensor of file.tensors.values()) {
    const { of, half } = /^(?<of>.+)\.lora_(?<half>[ab])$/.exec(tensor.name)?.groups ?? {};
    if (of === undefined)
      throw unlikeModel(file.path, `tensor "${tensor.name}"`, "only X.lora_a and X.lora_b");
    const matrix = hostTensor("float32", tensor.shape, dequantize(await file.read(tensor)));
    halves.set(of, { ...halves.get(of), [half as "a" | "b"]: matrix });
  }
  return new Map(
    [...halves].map(([name, { a, b }]) => {
      if (!a || !b) throw unlikeModel(file.path, `one of the two matrices of "${name}"`, "both");
      return [name, { down: a, up: b }];
    }),
  );
}

export const gguf: AdapterForm = {
  name: "gguf",
  summary: "a file for llama.cpp and programs built on it",
  keptIn: GGUF_ENDING,
  namesModel: false,
  isAt: (path, names) => names === null && path.endsWith(GGUF_ENDING),

  // Such files contain nothing else.
  requireFactors: () => Promise.resolve(),

  async read(path, model) {
    const rules = rulesOf(model.base.model);
    const file = await openGguf(path);
    try {
      const alpha = requireAdapter(file, rules);
      const factors = new Map<string, FactorPair>();
      const halves = new Map<string, Partial<Record<GgufHalf, FactorPair>>>();
      for (const [name, { down, up }] of await readHalves(file)) {
        const found = translateName(rules, name);
        if (found === null || isStacked(found.change) || isOfHeads(found.change))
          throw unlikeModel(path, `tensor "${name}"`, "matrices that the model has, except experts");
        const module = found.hfName(0).replace(/\.weight$/, "");
        const isLookup = model.base.model.siteOf(module)?.kind === "embedding";
        const own = { down: isLookup ? turned(down) : down, up };
        const scaled = { ...own, scale: alpha === 0 ? 1 : alpha / own.down.shape[0]! };
        requireSite({ path, module }, scaled, model, isHalf(found.change) ? 2 : 1);
        if (isHalf(found.change)) {
          halves.set(module, { ...halves.get(module), [found.change]: scaled });
          continue;
        }
        const unfolded = folded(scaled, name, model.base.model, "divide");
        factors.set(module, moved(unfolded, found.change, model.base.model, "undo"));
      }
      for (const [module, both] of halves) {
        factors.set(module, joinFactors(both["first-half"], both["second-half"]));
      }
      return factors;
    } finally {
      await file.close();
    }
  },

  async write(path, factors, { base: { model } }) {
    const rules = rulesOf(model);
    requireOwnHead("gguf", factors, model);
    const alpha = commonAlpha(factors.values());
    const sources: GgufSource[] = [];
    for (const [module, pair] of factors) {
      const weight = `${module}.weight`;
      const found = model.tensors.has(weight) ? toGgufName(rules, weight) : null;
      if (found === null || isStacked(found.change) || isOfHeads(found.change)) {
        const what =
          found && isStacked(found.change) ? "an expert" : "which has no separate matrix in such files";
        throw cannotHold("gguf", `it is on "${module}", ${what}`, "Leave the module out in training.");
      }
      const scaled = alpha === null ? pair.up.data.map((value) => value * pair.scale) : pair.up.data;
      const written = { ...pair, up: hostTensor("float32", pair.up.shape, scaled) };
      if (isHalf(found.change)) {
        const [first, second] = splitFactors(written);
        sources.push(...sourcesOf(found.ggufName, first), ...sourcesOf(found.secondHalf!, second));
        continue;
      }
      const { up, down: own } = moved(
        folded(written, found.ggufName, model, "multiply"),
        found.change,
        model,
        "redo",
      );
      const down = model.siteOf(module)?.kind === "embedding" ? turned(own) : own;
      sources.push(...sourcesOf(found.ggufName, { up, down }));
    }
    const settings = encodeSettings({
      "general.architecture": { type: "string", value: rules.architecture },
      "general.type": { type: "string", value: KEPT_AS["general.type"] },
      "adapter.type": { type: "string", value: KEPT_AS["adapter.type"] },
      [ALPHA]: { type: "float32", value: alpha ?? 0 },
    });
    await writeGguf(path, settings, sources);
  },
};
