/**
 * @file Adapters of mlx-lm: a folder with `X.lora_a` [in, R] and `X.lora_b` [R, out] for module X, the transposes of PEFT's
 * matrices, with one rank and one scale for all modules, and the settings that mlx-lm was called with.
 *
 * Source: mlx_lm/tuner/utils.py, `load_adapters` and `linear_to_lora_layers`.
 */
import { z } from "zod";
import { openSafetensors, readJson } from "../../format/by-path.ts";
import { writeFolderAtomic } from "../../format/files/atomic.ts";
import { textFile } from "../../format/files/folder-file.ts";
import { formatJson } from "../../format/files/json-file.ts";
import type { Safetensors } from "../../format/files/safetensors/safetensors.ts";
import { safetensorsFile } from "../../format/files/safetensors/safetensors-writer.ts";
import { dimsOf, sizeAt } from "../../graph/shape.ts";
import { turned } from "../../linalg/transposed.ts";
import type { Model } from "../../models/model.ts";
import { moduleOf } from "../../models/module-path.ts";
import type { FactorPair } from "../../peft/algebra/contract.ts";
import { widen } from "../../quant/codes/half.ts";
import { hostTensor } from "../../runtime/host-tensor.ts";
import {
  type AdapterForm,
  type FloatMatrix,
  cannotConvert,
  cannotHold,
  requireOwnHead,
  requireSite,
  tableOfHead,
  unlikeModel,
} from "../adapter-form.ts";

const CONFIG_FILE = "adapter_config.json";
const WEIGHTS_FILE = "adapters.safetensors";
const BLOCKS = "model.layers.";

const SETTINGS = z.object({
  fine_tune_type: z.literal("lora").default("lora"),
  lora_parameters: z.object({ scale: z.number() }),
});

/** Gives a pair the common rank and scale: pads both matrices with zeros, and multiplies B by its own scale / the common one. */
function withCommonForm(
  { down, up, scale }: FactorPair,
  rank: number,
  common: number,
): { a: FloatMatrix; b: FloatMatrix } {
  const a = turned(down);
  const [inFeatures, own] = dimsOf(a.shape, 2);
  const outFeatures = sizeAt(up.shape, 0);
  const wide = new Float32Array(inFeatures * rank);
  for (let row = 0; row < inFeatures; row++) {
    wide.set(a.data.subarray(row * own, (row + 1) * own), row * rank);
  }
  const high = new Float32Array(rank * outFeatures);
  high.set(turned(up).data.map((value) => (scale === common ? value : (value * scale) / common)));
  return {
    a: hostTensor("float32", [inFeatures, rank], wide),
    b: hostTensor("float32", [rank, outFeatures], high),
  };
}

/** The path of a module in mlx-lm. @throws UsageError "usage/adapter" */
function mlxPathOf(module: string, model: Model): string {
  const isInBlock = module.startsWith(BLOCKS);
  const isJoined = isInBlock ? model.siteOf(module)?.ofTokens === true : model.ties.has(`${module}.weight`);
  const isOther = model.blockPrefix(0) !== `${BLOCKS}0.` || model.checkpoint.peftPath(module) !== module;
  const { mlx } = model.checkpoint;
  const path = isJoined || isOther ? null : mlx ? mlx.pathOf(module) : module;
  if (path !== null) return path;
  throw cannotHold("mlx", `module "${module}" has another name or form there`, "Choose another form.");
}

/** The name of a module in `lora_parameters`: its path inside its block, or the whole path. */
function keyOf(path: string): string {
  return path.startsWith(BLOCKS) ? path.slice(path.indexOf(".", BLOCKS.length) + 1) : path;
}

/** @throws FormatError "format/tensor" when it is missing, or not of a float type */
async function readMatrix(file: Safetensors, name: string): Promise<FloatMatrix> {
  const tensor = await file.read(name);
  if (/float/.test(tensor.dtype)) return widen(tensor);
  throw unlikeModel(file.path, `${tensor.dtype} of "${name}"`, "a float type");
}

/** @throws UsageError "usage/adapter" for adapters other than LoRA */
async function readScale(path: string): Promise<number> {
  const found = SETTINGS.safeParse(await readJson(`${path}/${CONFIG_FILE}`));
  if (found.success) return found.data.lora_parameters.scale;
  const wrong = found.error.issues.map((issue) => issue.path.join(".")).join(", ");
  throw cannotConvert(path, `${wrong} of ${CONFIG_FILE}`, "LoRA with a scale", "graft converts only LoRA.");
}

export const mlx: AdapterForm = {
  name: "mlx",
  summary: "a folder for mlx-lm, on Macs",
  keptIn: "folder",
  namesModel: false,
  isAt: (_path, names) => names?.includes(WEIGHTS_FILE) ?? false,

  async requireFactors(path) {
    await readScale(path);
  },

  async read(path, model) {
    const scale = await readScale(path);
    const { checkpoint } = model.base.model;
    const file = await openSafetensors(`${path}/${WEIGHTS_FILE}`);
    try {
      const factors = new Map<string, FactorPair>();
      for (const name of file.tensors.keys()) {
        const module = /^(.+)\.lora_a$/.exec(name)?.[1];
        const isKnown = module !== undefined || file.tensors.has(name.replace(/\.lora_b$/, ".lora_a"));
        if (!isKnown) throw unlikeModel(path, `tensor "${name}"`, "only X.lora_a and X.lora_b");
        if (module === undefined) continue;
        const [a, b] = [await readMatrix(file, name), await readMatrix(file, `${module}.lora_b`)];
        const isMatrix = a.shape.length === 2 && b.shape.length === 2;
        const pair = isMatrix ? { down: turned(a), up: turned(b), scale } : { down: a, up: b, scale };
        const own = moduleOf(checkpoint.rename(`${module}.weight`));
        if (checkpoint.mlx?.pathOf(own) === null)
          throw unlikeModel(path, `factors of "${own}", which has another form there`, "modules of one form");
        requireSite({ path, module: own }, pair, model);
        factors.set(own, pair);
      }
      const table = tableOfHead(factors, model.base.model);
      if (table === undefined) return factors;
      const wanted = "none on a module that is also the model's head";
      throw cannotConvert(
        path,
        `factors of "${table}"`,
        wanted,
        "In peft such factors do not change the head.",
      );
    } finally {
      await file.close();
    }
  },

  async write(path, factors, { base: { name, model } }) {
    requireOwnHead("mlx", factors, model);
    const paths = new Map([...factors.keys()].map((module) => [module, mlxPathOf(module, model)]));
    const keys = [...new Set([...paths.values()].map(keyOf))];
    const rank = Math.max(...[...factors.values()].map(({ down }) => sizeAt(down.shape, 0)));
    const [first] = [...factors.values()].map(({ scale }) => scale);
    // A scale of 0 belongs to a module without a change and cannot be the common scale.
    const scale = first === undefined || first === 0 ? 1 : first;
    const tensors = [...factors].flatMap(([module, pair]): [string, FloatMatrix][] => {
      const { a, b } = withCommonForm(pair, rank, scale);
      return [
        [`${paths.get(module)}.lora_a`, a],
        [`${paths.get(module)}.lora_b`, b],
      ];
    });
    const config = {
      fine_tune_type: "lora",
      model: name,
      num_layers: model.numLayers,
      lora_parameters: { rank, scale, dropout: 0, keys },
    };
    await writeFolderAtomic(path, [
      safetensorsFile(WEIGHTS_FILE, tensors, { format: "mlx" }),
      textFile(CONFIG_FILE, formatJson(config)),
    ]);
  },
};
