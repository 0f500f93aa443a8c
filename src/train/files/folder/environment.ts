/** @file The machine and the software of a run, for its report. */
import { arch, availableParallelism, release, totalmem, type } from "node:os";
import { readFileSync } from "node:fs";
import type { Fact } from "../../../format/cards/model-card.ts";
import { formatBytes } from "../../../messages/numbers.ts";
import { describeProcessor } from "../processor.ts";

/** Lists versions, processor and memory. */
export function describeEnvironment(threads: number | undefined): readonly Fact[] {
  const text = readFileSync(new URL("../../../../package.json", import.meta.url), "utf8");
  const { version, dependencies } = JSON.parse(text) as {
    readonly version: string;
    readonly dependencies: { readonly "onnxruntime-node": string };
  };
  const numProcessors = availableParallelism();
  return [
    ["graft", version],
    // The dependency is pinned to an exact version.
    ["ONNX Runtime", dependencies["onnxruntime-node"]],
    ["Node", process.versions.node],
    ["system", `${type()} ${release()}, ${arch()}`],
    ["processor", describeProcessor()],
    ["threads", `${threads ?? numProcessors} of ${numProcessors}`],
    ["memory", formatBytes(totalmem())],
  ];
}
