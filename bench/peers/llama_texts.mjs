/**
 * Writes greedily after several prompts with llama.cpp through node-llama-cpp, on the processor alone:
 *
 *   node llama_texts.mjs '{"model": FILE.gguf, "prompts": [{"text": "…", "ids": [...]}, …], "maxNewTokens": N, "threads": N}'
 *
 * Prints one JSON object a line: "text" for each prompt, with llama.cpp's own ids of the prompt's text, the new ids up to a
 * token that ends the text, and the likeliest tokens at each step, that one included, with their probabilities.
 */
import { LlamaLogLevel, getLlama } from "node-llama-cpp";

const NUM_LIKELIEST = 5;
const { model: modelPath, prompts, maxNewTokens, threads } = JSON.parse(process.argv[2]);
const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
});
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const longest = Math.max(...prompts.map(({ ids }) => ids.length));
const context = await model.createContext({ contextSize: longest + maxNewTokens + 1, threads });
const sequence = context.getSequence();
for (const { text, ids: promptIds } of prompts) {
  await sequence.clearHistory();
  const [ids, likeliest] = [[], []];
  const steps = sequence.evaluateWithMetadata(
    promptIds,
    { probabilities: true },
    { temperature: 0, yieldEogToken: true },
  );
  for await (const { token, probabilities } of steps) {
    likeliest.push([...probabilities].slice(0, NUM_LIKELIEST));
    if (model.isEogToken(token)) break;
    ids.push(token);
    if (ids.length === maxNewTokens) break;
  }
  const event = { ids, text: model.detokenize(ids), likeliest };
  process.stdout.write(
    `${JSON.stringify({ event: "text", promptIds: model.tokenize(text, true), ...event, release: llama.llamaCppRelease.release })}\n`,
  );
}
await llama.dispose();
