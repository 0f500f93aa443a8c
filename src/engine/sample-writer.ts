/**
 * @file Writes sample texts during a training, on its session and with its current adapter. It takes the likeliest token
 * each time.
 */
import { encodeChat, encodePrompt } from "../data/chat/text-tools.ts";
import { decodeAfter } from "../data/tokenizer/tokenizer.ts";
import type { MakeSampleWriter, Sample, SamplePrompt } from "../train/samples.ts";
import { shownPrompt } from "../train/samples.ts";
import { Generator } from "./generation/generator.ts";
import { readToEnd } from "./generation/read-to-end.ts";
import { checkPrompt } from "./prompts/prompt.ts";
import { stopIdsOf } from "./answers/stop-ids.ts";

/**
 * Makes the function that writes after the prompts of a run. @throws UsageError "usage/length", "usage/flag", "usage/model",
 * "usage/chat-template"
 */
export const makeSampleWriter: MakeSampleWriter = async (parts) => {
  const { session, adapter, checkpoint, tools, prompts, maxNewTokens, signal, betweenTokens } = parts;
  const { tokenizer } = tools;
  const encode = (prompt: SamplePrompt): number[] =>
    prompt.kind === "text" ? encodePrompt(tools, prompt.text) : encodeChat(tools, prompt.messages);
  const encoded = prompts.map((prompt) => {
    const ids = encode(prompt);
    return { prompt: shownPrompt(prompt), ids, after: prompt.kind === "text" ? ids : [] };
  });
  for (const { ids } of encoded) checkPrompt(session.model, ids);
  // The next sample is written with other weights and can reuse no keys and values.
  const generator = await Generator.create({ session, adapter }, 0);
  const stopIds = stopIdsOf(tokenizer, checkpoint);
  return async () => {
    const samples: Sample[] = [];
    for (const { prompt, ids: promptIds, after } of encoded) {
      // Forgets keys and values that were computed with earlier weights.
      await generator.switchTo(adapter);
      const request = { promptIds, maxNewTokens, stopIds, ...(signal ? { signal } : {}) };
      const ids: number[] = [];
      const end = await readToEnd(generator.generate(request), async ({ id, isStop }) => {
        if (!isStop) ids.push(id);
        await betweenTokens?.();
      });
      // A partial text is not a sample.
      if (end.finishReason === "aborted") signal?.throwIfAborted();
      samples.push({ prompt, text: decodeAfter(tokenizer, after, ids), tokens: ids.length });
    }
    return samples;
  };
};
