/** @file POST /classify: tells the class of each text, in the form that vLLM has. */
import { type ClassOptions, makeClassExample } from "../../data/examples/class-example.ts";
import type { Judgement } from "../../engine/judgement.ts";
import { NO_END } from "../../engine/serving/serve-request.ts";
import { judgeTexts } from "../../engine/serving/text-judge.ts";
import { likeliest } from "../../run/head/likeliest.ts";
import { CLASSIFY_ANSWER } from "../answers/text-answers.ts";
import { defineRoute } from "../route.ts";
import type { ServerState } from "../server-state.ts";
import { readInputs, runInputs, usageOf } from "../texts/input-texts.ts";
import { CLASSIFY_REQUEST } from "../wire.ts";

export const classify = defineRoute({
  method: "post",
  path: "/classify",
  summary: "Tell the classes of texts, with their probabilities",
  access: "read",
  body: CLASSIFY_REQUEST,
  answer: { whole: CLASSIFY_ANSWER },
  handle: async ({ body, context, state }) => {
    const { adapter, classes } = await state.models.classifierOf(body.model);
    const inputs = await readInputs(body, true, state);
    const judgeSome = (some: readonly (readonly number[])[], signal: AbortSignal) => {
      const examples = some.map((ids, i) =>
        makeClassExample({ ids }, 0, classes, { file: "input", line: i + 1 }),
      );
      return counted(some, judgeTexts(state.model.engine, examples, { adapter, signal }), adapter, state);
    };
    const found = await runInputs(inputs, { context, state }, judgeSome);
    if (found === null) return context.body(null, 400);
    return context.json({
      id: `classify-${state.newId()}`,
      object: "list",
      created: state.seconds(),
      model: body.model,
      data: found.map((judgement, index) => ({ index, ...told(judgement, classes) })),
      usage: { ...usageOf(inputs), completion_tokens: 0, prompt_tokens_details: null },
    });
  },
});

/** Counts texts that are read together. */
async function counted<T>(
  some: readonly (readonly number[])[],
  found: Promise<T>,
  adapter: string | null,
  { metrics, name, now }: ServerState,
): Promise<T> {
  const begunMs = now();
  const count = ({ length: numPromptTokens }: readonly number[]): Promise<unknown> =>
    metrics.count(adapter ?? name, async () => {
      await found;
      return { ...NO_END, finishReason: "stop", numPromptTokens, totalMs: now() - begunMs };
    });
  await Promise.all(some.map(count));
  return await found;
}

function told({ predicted, scores }: Judgement, { names }: ClassOptions) {
  const probs = scores ? names.map((name) => scores[name]!) : ([predicted].flat() as number[]);
  return { label: names[likeliest(Float32Array.from(probs))]!, probs, num_classes: names.length };
}
