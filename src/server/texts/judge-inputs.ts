/** @file Classifies the texts of a request, some at a time, and counts each. */
import type { ClassExample } from "../../data/examples/class-example.ts";
import type { Judgement } from "../../engine/judgement.ts";
import { NO_END } from "../../engine/serving/serve-request.ts";
import { judgeTexts } from "../../engine/serving/text-judge.ts";
import type { ServerState } from "../server-state.ts";
import { type ReadCall, runInputs } from "./input-texts.ts";

/** Classifies each text; null: the client has gone. `adapter` null: the base alone. @throws as `runInputs` and `judgeTexts` */
export function judgeInputs(
  examples: readonly ClassExample[],
  adapter: string | null,
  request: ReadCall,
): Promise<readonly Judgement[] | null> {
  const { engine } = request.state.model;
  return runInputs(examples, request, (some, signal) =>
    counted(some, judgeTexts(engine, some, { adapter, signal }), adapter, request.state),
  );
}

/** Counts texts that are read together. */
async function counted<T>(
  some: readonly ClassExample[],
  found: Promise<T>,
  adapter: string | null,
  { metrics, name, now }: ServerState,
): Promise<T> {
  const begunMs = now();
  const count = ({ ids }: ClassExample): Promise<unknown> =>
    metrics.count(adapter ?? name, async () => {
      await found;
      return { ...NO_END, finishReason: "stop", numPromptTokens: ids.length, totalMs: now() - begunMs };
    });
  await Promise.all(some.map(count));
  return await found;
}
