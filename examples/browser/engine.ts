/** @file An engine that runs graft's programs in a page, on ONNX Runtime's build for browsers. */
import { type Engine, type HostTensor, PLAIN_TARGET, toOnnx } from "graft/core";
import type { InferenceSession, Tensor } from "onnxruntime-common";

/** `ort`: what onnxruntime-web exports. */
export function engineOf(ort: { InferenceSession: typeof InferenceSession; Tensor: typeof Tensor }): Engine {
  const view = ({ dtype, shape, data }: HostTensor): Tensor =>
    new ort.Tensor(dtype as "float32", data as Float32Array, shape);
  return {
    name: "onnxruntime-web",
    threads: 1,
    makeMemory: (sizeBytes) => new ArrayBuffer(sizeBytes),
    target: async () => PLAIN_TARGET,
    async compile(spec, { constants = {} } = {}) {
      const session = await ort.InferenceSession.create(toOnnx(spec, PLAIN_TARGET));
      const [inputs, outputs] = [Object.keys(spec.inputs), Object.keys(spec.outputs)];
      return {
        spec,
        async run(feeds, into) {
          const given = inputs.map((name) => [name, view((feeds[name] ?? constants[name])!)] as const);
          const results = await session.run(Object.fromEntries(given), outputs);
          // Some outputs take the place of an input.
          const places = outputs.map((name) => into[name] ?? feeds[spec.updates?.[name] ?? ""]!);
          for (const [i, name] of outputs.entries()) places[i]!.data.set(results[name]!.data as never);
        },
        release: () => session.release(),
      };
    },
  };
}
