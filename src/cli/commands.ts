/** @file All commands, in the order of the help. Each is loaded when it is used. */
import type { Command, CommandBody, ListedCommand } from "./command.ts";

/** Name → one sentence without a period, and the file. */
const LIST: Readonly<
  Record<string, readonly [summary: string, load: () => Promise<{ readonly command: CommandBody }>]>
> = {
  quickstart: [
    "Fine-tune the default model on the bundled examples, and compare",
    () => import("./commands/quickstart.ts"),
  ],
  pull: ["Download a model and print its path", () => import("./commands/pull.ts")],
  plan: ["Estimate the memory that a run needs, before it starts", () => import("./commands/plan.ts")],
  train: ["Fine-tune a model on your own data", () => import("./commands/train.ts")],
  eval: [
    "Evaluate a model on data: loss and perplexity, accuracy or correlation",
    () => import("./commands/eval.ts"),
  ],
  classify: ["Predict classes or scores of texts", () => import("./commands/classify.ts")],
  generate: ["Generate text from a prompt", () => import("./commands/generate.ts")],
  chat: ["Chat with a model", () => import("./commands/chat.ts")],
  serve: ["Serve a model and its adapters to OpenAI clients", () => import("./commands/serve.ts")],
  "keys add": [
    "Create an API key for graft serve, and print it once",
    () => import("./commands/keys-add.ts"),
  ],
  "keys list": ["List API keys and their roles", () => import("./commands/keys-list.ts")],
  "keys remove": [
    "Remove an API key, so that it is refused from then on",
    () => import("./commands/keys-remove.ts"),
  ],
  worker: ["Train jobs for servers that share a database and a folder", () => import("./commands/worker.ts")],
  merge: ["Merge an adapter into its model and write the result", () => import("./commands/merge.ts")],
  convert: ["Convert an adapter for peft, llama.cpp or mlx-lm", () => import("./commands/convert.ts")],
  export: [
    "Export a model, optionally with an adapter, as ONNX for transformers.js",
    () => import("./commands/export.ts"),
  ],
  combine: ["Add, scale and subtract adapters without training", () => import("./commands/combine.ts")],
  fisher: [
    "Estimate the Fisher information of an adapter, for combine",
    () => import("./commands/fisher.ts"),
  ],
  push: ["Upload an adapter or a model to the Hugging Face hub", () => import("./commands/push.ts")],
  "data show": [
    "Show examples, the tokens trained on, and what is truncated",
    () => import("./commands/data-show.ts"),
  ],
  bench: ["Run the benchmarks (in a clone of the repository)", () => import("./commands/bench.ts")],
};

export const COMMANDS: readonly ListedCommand[] = Object.entries(LIST).map(([name, [summary, load]]) => ({
  name,
  summary,
  load: async () => ({ name, summary, ...(await load()).command }),
}));

/** Loads all commands. */
export async function loadCommands(): Promise<readonly Command[]> {
  return await Promise.all(COMMANDS.map(async (command) => await command.load()));
}
