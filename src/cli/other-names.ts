/** @file Names of our commands in other tools: mlx-lm, LLaMA-Factory, torchtune, Axolotl, ollama, Hugging Face's own. */

/** Ours → theirs. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  train: "lora finetune fine-tune sft dpo tune",
  eval: "evaluate perplexity",
  classify: "predict score rerank",
  generate: "infer inference complete",
  chat: "run",
  serve: "server api",
  merge: "fuse merge-lora",
  pull: "download",
  push: "upload",
  plan: "estimate estimate-memory",
  "data show": "preprocess validate",
};

/** Our command for another tool's command name; null: there is none. */
export function ourNameOf(word: string): string | null {
  const found = Object.entries(OTHER_NAMES).find(([, names]) => names.split(" ").includes(word));
  return found?.[0] ?? null;
}
