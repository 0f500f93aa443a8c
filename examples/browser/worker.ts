/** @file The thread that computes, so that the page never stands still. */
import * as ort from "onnxruntime-web";
import { engineOf } from "./engine.ts";
import type { Answer, Request } from "./messages.ts";
import { TrainedModel } from "./trained-model.ts";

ort.env.wasm.wasmPaths = "/onnxruntime/";
// Several only where the page is isolated from others (`serve.ts` sends the headers).
ort.env.wasm.numThreads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;

const answer = (message: Answer): void => postMessage(message);
let model: TrainedModel | null = null;

async function work(request: Request): Promise<void> {
  if (request.kind === "open") {
    model = await TrainedModel.open(engineOf(ort), request.files);
    return;
  }
  if (model === null) throw new Error("Choose a model first.");
  if (request.kind === "write") {
    for await (const { text } of model.write(request.prompt, request.maxNewTokens))
      answer({ kind: "text", text });
    return;
  }
  for await (const { step, loss } of model.train(request.training)) answer({ kind: "step", step, loss });
  answer({ kind: "files", files: await model.files() });
}

addEventListener("message", ({ data }: MessageEvent<Request>) => {
  work(data).then(
    () => answer({ kind: "done" }),
    (error: unknown) =>
      answer({ kind: "failed", message: error instanceof Error ? error.message : String(error) }),
  );
});
