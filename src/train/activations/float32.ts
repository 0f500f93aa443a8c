/** @file Keeps activations unchanged between the two passes. */
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { ActivationForm } from "./keeping.ts";

export const float32: ActivationForm = {
  name: "float32",
  summary: "as they are",
  bytesPerNumber: 4,
  numWhole: Infinity,
  usesDisk: false,
  isExact: true,
  begin: ({ pool }) => {
    const kept: Saved[] = [];
    return {
      keep: (tensors) => Promise.resolve(void kept.push(tensors)),
      bringBack: () => Promise.resolve(kept.pop()!),
      end: () => Promise.resolve(pool.release(...kept.splice(0).flatMap((each) => Object.values(each)))),
    };
  },
};
