/** @file POST /classify: predicts the class of each text, in vLLM's form. */
import { type ClassOptions, makeClassExample } from "../../data/examples/class-example.ts";
import type { Judgement } from "../../engine/judgement.ts";
import { likeliest } from "../../run/head/likeliest.ts";
import { CLASSIFY_ANSWER } from "../answers/text-answers.ts";
import { defineRoute } from "../route.ts";
import { readInputs, usageOf } from "../texts/input-texts.ts";
import { judgeInputs } from "../texts/judge-inputs.ts";
import { CLASSIFY_REQUEST } from "../wire.ts";

export const classify = defineRoute({
  method: "post",
  path: "/classify",
  summary: "Classify texts, with the probability of each class",
  access: "read",
  body: CLASSIFY_REQUEST,
  answer: { whole: CLASSIFY_ANSWER },
  handle: async ({ body, context, state }) => {
    const { adapter, classes } = await state.models.classifierOf(body.model);
    const inputs = await readInputs(body, true, state);
    const examples = inputs.map((input, i) =>
      makeClassExample(input, 0, classes, { file: "input", line: i + 1 }),
    );
    const found = await judgeInputs(examples, adapter, { context, state, param: "input" });
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

function told({ predicted, scores }: Judgement, { names }: ClassOptions) {
  const probs = scores ? names.map((name) => scores[name]!) : ([predicted].flat() as number[]);
  return { label: names[likeliest(Float32Array.from(probs))]!, probs, num_classes: names.length };
}
