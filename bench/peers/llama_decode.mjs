/**
 * Decodes greedily with llama.cpp through node-llama-cpp, on the processor alone:
 *
 *   node llama_decode.mjs '{"model": FILE.gguf, "promptIds": [...], "maxNewTokens": N, "threads": N}'
 *
 * Prints one JSON object a line: "first" when the first token is there, "done" with all ids and the seconds after it.
 */
import { LlamaLogLevel, getLlama } from "node-llama-cpp";

const { model: modelPath, promptIds, maxNewTokens, threads } = JSON.parse(process.argv[2]);
const emit = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: threads,
});
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const context = await model.createContext({
  contextSize: promptIds.length + maxNewTokens + 1,
  threads,
});
const ids = [];
const evaluation = context.getSequence().evaluate(promptIds, { temperature: 0, yieldEogToken: true });
const startMs = performance.now();
let firstMs = startMs;
for await (const id of evaluation) {
  if (ids.length === 0) {
    firstMs = performance.now();
    emit({ event: "first", prefillMs: firstMs - startMs });
  }
  ids.push(id);
  if (ids.length === maxNewTokens || model.isEogToken(id)) break;
}
const seconds = (performance.now() - firstMs) / 1000;
emit({ event: "done", ids, seconds, release: llama.llamaCppRelease.release });
await llama.dispose();
