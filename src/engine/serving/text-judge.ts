/** @file Classifies texts for many callers, each with an adapter by name; the callers take turns. */
import type { ClassExample } from "../../data/examples/class-example.ts";
import { UsageError } from "../../errors.ts";
import { Classifier, requireClasses } from "../classifier.ts";
import { type Judgement, judge } from "../judgement.ts";
import type { ServingEngine } from "./serving-engine.ts";

/**
 * Classifies a few texts in one turn. `adapter` null: the base alone.
 * @throws UsageError "usage/model" for a base without classes, or whose class head comes from its adapters; the signal's reason;
 * as `Classifier.classify` and `AdapterPool.acquire`
 */
export async function judgeTexts(
  engine: Pick<ServingEngine, "session" | "adapters" | "turns" | "countPrompt">,
  examples: readonly ClassExample[],
  { adapter: name, signal }: { readonly adapter: string | null; readonly signal: AbortSignal },
): Promise<readonly Judgement[]> {
  const { session, adapters, turns } = engine;
  const { base, model } = session;
  const { names } = requireClasses(base);
  if (name === null && base.freshTensors.length > 0) {
    throw new UsageError(
      "usage/model",
      `Cannot classify with model "${base.name}" alone: it has no classification head of its own`,
      { hint: "Name an adapter: each has its own head." },
    );
  }
  const held = name === null ? null : await adapters.acquire(name, signal);
  try {
    await turns.take("step");
    try {
      signal.throwIfAborted();
      for (const { ids } of examples) engine.countPrompt(ids.length);
      const classifier = await Classifier.create(session, held?.adapter ?? null);
      const found = await classifier.classify(examples);
      return found.map(({ logits }) => judge(model, names, logits));
    } finally {
      turns.giveBack();
    }
  } finally {
    if (held) adapters.release(held);
  }
}
