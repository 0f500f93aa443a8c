/** @file All commands, in the order in which the help shows them. Each is loaded when it is used. */
import type { Command, CommandBody, ListedCommand } from "./command.ts";

/** Name → one sentence without a period, and the file. */
const LIST: Readonly<
  Record<string, readonly [summary: string, load: () => Promise<{ readonly command: CommandBody }>]>
> = {
  quickstart: [
    "Fine-tune the default model on examples that come along, and compare",
    () => import("./quickstart.ts"),
  ],
  pull: ["Put a model on the local disk and print its path", () => import("./pull.ts")],
  train: ["Fine-tune a model on your own data", () => import("./train.ts")],
  eval: ["Compute loss and perplexity of a model on data, or accuracy", () => import("./eval.ts")],
  generate: ["Write text after a prompt", () => import("./generate.ts")],
  chat: ["Talk with a model", () => import("./chat.ts")],
  merge: ["Write the ordinary model that a model and an adapter make", () => import("./merge.ts")],
  combine: ["Add, scale and subtract adapters without training", () => import("./combine.ts")],
  fisher: ["Estimate how much each number of an adapter matters, for combine", () => import("./fisher.ts")],
  push: ["Put an adapter or a model onto the Hugging Face hub", () => import("./push.ts")],
  "data show": [
    "Show examples with the tokens that are trained, and what is cut",
    () => import("./data-show.ts"),
  ],
  bench: ["Measure graft, alone and against others; only in a clone", () => import("./bench.ts")],
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
