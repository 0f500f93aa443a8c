/**
 * @file The gpt-oss family: attention with sinks, with a window in every other layer, and in every layer experts whose activations
 * are clamped.
 *
 * Report: "gpt-oss-120b & gpt-oss-20b Model Card", arXiv:2508.10925, section 2. Sinks are those of "Efficient Streaming Language
 * Models with Attention Sinks", arXiv:2309.17453, as learned numbers.
 */
import { z } from "zod";
import { clampedExpert } from "../../nn/clamped-expert.ts";
import { experts } from "../../nn/experts.ts";
import { type Router, projectedBy, softmaxRouter } from "../../nn/routers.ts";
import { plainDecoder } from "../blocks/decoder.ts";
import { llamaBlock, plainAttention } from "../blocks/decoder-blocks.ts";
import type { FolderPlace } from "../config/checkpoint-rules.ts";
import type { Family, Layer } from "../family.ts";
import { readExperts } from "../config/expert-config.ts";
import { GPT_OSS_FIELDS, GPT_OSS_GGUF, GPT_OSS_KEYS, SINKS, withRotation } from "./gpt-oss/config.ts";
import { parseConfig } from "../config/hf-config.ts";
import { layersByWindow } from "../config/window-config.ts";

const SCHEMA = z.object(GPT_OSS_FIELDS);

const ROUTER: Router = { ...softmaxRouter(), logits: projectedBy("router", { bias: true }) };

const EXPERT = /^(?<experts>.+\.mlp\.experts)\.(?<index>\d+)\.(?<matrix>\w+)\.(?<part>weight|bias)$/;

/** Finds a tensor's place in files, where one tensor holds those of all experts of a layer. */
function inFolder(name: string): FolderPlace {
  const { experts, index, matrix, part } = EXPERT.exec(name)?.groups ?? {};
  if (experts === undefined) return { name, stack: null };
  const stack = { index: Number(index), numParts: 1 };
  return part === "bias"
    ? { name: `${experts}.${matrix}_bias`, stack }
    : { name: `${experts}.${matrix}`, stack: { ...stack, isTurned: true } };
}

export const gptOss: Family = {
  modelType: "gpt_oss",
  summary: "gpt-oss: 20B and 120B",
  traits:
    "Every head has a sink, a number that takes part in its softmax; every other layer has a window. In every layer a router chooses a few of many experts, whose gates stay within a limit. llama.cpp rounds the bounds of the stretched rotation of its GGUF files, which graft reads as the folders have them. Adapters can sit on the router (`router`) and on every expert.",
  gguf: GPT_OSS_GGUF,
  open: (raw) => {
    const c = parseConfig(SCHEMA, raw, GPT_OSS_KEYS);
    const { intermediate_size: intermediateSize, swiglu_limit: limit, swiglu_alpha: alpha } = c;
    const expert = clampedExpert({ intermediateSize, limit, alpha });
    const options = { ...readExperts(raw, c), normalizes: true, router: ROUTER, expert };
    const attention = { ...plainAttention(withRotation(raw), c), sinks: SINKS };
    const block = (window: number | null): Layer =>
      llamaBlock(c, { ...attention, window }, (b, x) => experts(b, x, "mlp.", options));
    const [full, windowed] = [block(null), block(c.sliding_window)];
    const layers = layersByWindow(raw, c, { full, windowed }, (layer) => layer % 2 === 0);
    const { checkpoint, ...definition } = plainDecoder(raw, c, layers);
    return { ...definition, checkpoint: { ...checkpoint, inFolder } };
  },
};
