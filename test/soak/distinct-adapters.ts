/** @file Adapters whose greedy answers all differ, from each other's and from the base's: an answer proves its adapter. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type ServingModel, openServingModel } from "../../src/engine/serving-model.ts";
import { writeTinyAdapter } from "../tiny/adapter.ts";
import { ANSWER_TOKENS, MESSAGES } from "./clients.ts";

const METHODS = ["lora", "road", "ia3"];
/** Seeds that are tried for one adapter. */
const MAX_TRIES = 100;

async function answerOf(model: ServingModel, adapter: string | null): Promise<string> {
  const promptIds = model.encodeChat(MESSAGES);
  let text = "";
  for await (const piece of model.write({ promptIds, adapter, maxNewTokens: ANSWER_TOKENS }))
    text += piece.text;
  return text;
}

/** Writes so many adapters into a folder, each by its name there, and returns the names. */
export async function writeDistinctAdapters(
  modelPath: string,
  folder: string,
  count: number,
): Promise<string[]> {
  const model = await openServingModel(modelPath, { chatTemplate: "chatml", threads: 1, cacheBytes: 4e6 });
  const { adapters } = model.engine;
  const known = new Set([await answerOf(model, null)]);
  const names: string[] = [];
  let seed = 1;
  for (let i = 0; i < count; i++) {
    const path = join(folder, `a${i}`);
    for (let tries = 0; ; tries++) {
      if (tries === MAX_TRIES) throw new Error(`a${i} says what others say, whatever its seed`);
      rmSync(path, { recursive: true, force: true });
      await writeTinyAdapter(modelPath, path, METHODS[i % METHODS.length]!, seed++);
      adapters.register("tried", path);
      const answer = await answerOf(model, "tried");
      adapters.unregister("tried");
      if (known.has(answer)) continue;
      known.add(answer);
      break;
    }
    names.push(`a${i}`);
  }
  await model.close();
  return names;
}
