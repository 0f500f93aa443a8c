/** @file What the page asks of the thread that computes, and what it hears. */
import type { TrainRequest } from "./trained-model.ts";

export type Request =
  | { readonly kind: "open"; readonly files: readonly File[] }
  | { readonly kind: "train"; readonly training: TrainRequest }
  | { readonly kind: "write"; readonly prompt: string; readonly maxNewTokens: number };

/** Each request is answered in the end by `done` or `failed`. */
export type Answer =
  | { readonly kind: "step"; readonly step: number; readonly loss: number }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "files"; readonly files: readonly File[] }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string };
