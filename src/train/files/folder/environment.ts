/** @file The machine and the program that a run is made with, for people who read its report. */
import { arch, availableParallelism, release, totalmem, type } from "node:os";
import { readFileSync } from "node:fs";
import type { Fact } from "../../../format/cards/model-card.ts";
import { formatBytes } from "../../../messages/numbers.ts";
import { describeProcessor } from "../processor.ts";

/** Says what runs here: versions, processor, memory. */
export function describeEnvironment(threads: number | undefined): readonly Fact[] {
  const text = readFileSync(new URL("../../../../package.json", import.meta.url), "utf8");
  const { version, dependencies } = JSON.parse(text) as {
    readonly version: string;
    readonly dependencies: { readonly "onnxruntime-node": string };
  };
  const numProcessors = availableParallelism();
  return [
    ["graft", version],
    // Pinned to one version.
    ["ONNX Runtime", dependencies["onnxruntime-node"]],
    ["Node", process.versions.node],
    ["system", `${type()} ${release()}, ${arch()}`],
    ["processor", describeProcessor()],
    ["threads", `${threads ?? numProcessors} of ${numProcessors}`],
    ["memory", formatBytes(totalmem())],
  ];
}
