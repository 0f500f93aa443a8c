/**
 * @file The contract of a model family: from the raw settings of a model to its layers, stem and head.
 *
 * Settings specific to a family stay in the closure of `open`. To add one: a file and a line in `families.ts`; programs can also
 * pass their own.
 */
import { z } from "zod";
import type { Value } from "../graph/graph.ts";
import { A_COUNT, A_FUNCTION, lazily, objectWith, withMembers } from "../messages/arguments.ts";
import type { Builder } from "../nn/builder.ts";
import type { CheckpointRules } from "./config/checkpoint-rules.ts";
import type { GgufRules } from "./config/gguf-rules.ts";
import type { RawConfig } from "./config/raw-config.ts";
import type { AutoClasses, ModelTask } from "./model-tasks.ts";

export type { RawConfig } from "./config/raw-config.ts";

/** What numbers from 0 to 255 become: (rescale · number - mean) / std, with a mean and a deviation of each channel. */
export interface Normalization {
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** The images that a model reads: sizes are in pixels. */
export interface ImageConfig {
  readonly channels: number;
  /** Height and width. */
  readonly size: number;
  /** Height and width of the squares that become one position each. */
  readonly patchSize: number;
  /** Unless the model's folder says otherwise. */
  readonly normalization: Normalization;
}

/** A block: x [B, T, D] to y [B, T, D]. Layers that are the same object share programs. */
export interface Layer {
  build(b: Builder, x: Value): Value;
}

/** A model as its family describes it. */
export interface ModelDefinition {
  readonly task: ModelTask;
  /** The settings of the configuration, with defaults for those that it leaves out. */
  readonly settings: RawConfig;
  /** Model width D. */
  readonly width: number;
  /** Rows V of the output head: tokens of the vocabulary, or classes. */
  readonly numOutputs: number;
  /** Tokens that the model knows; null: it reads images. */
  readonly vocabSize: number | null;
  /** The format of images; null: the model reads tokens. */
  readonly image: ImageConfig | null;
  readonly maxPositions: number;
  readonly layers: readonly Layer[];
  /** The earlier layer whose keys and values a layer reads; null: it has its own. Default: each layer has its own. */
  readonly keysFrom?: (layer: number) => number | null;
  /** Returns the prefix of names in block `layer`, including its final dot. */
  blockPrefix(layer: number): string;
  /** Builds the stem, from ids int64 [B, T] or pixels [B, C, H, W] to x [B, T, D]. */
  stem(b: Builder, input: Value): Value;
  /** Builds the head, from some rows [N, D] of the last block's output to logits [N, V]. */
  head(b: Builder, x: Value): Value;
  /** Which position of an example predicts its class; null: the task has none. */
  readonly classPosition: "first" | "last" | null;
  readonly checkpoint: CheckpointRules;
}

/** Checks the members of a definition that are read before anything is built. */
export const DEFINITION = lazily(() =>
  withMembers({
    width: A_COUNT,
    numOutputs: A_COUNT,
    maxPositions: A_COUNT,
    layers: z.array(objectWith<Layer>("a layer", "build")),
    blockPrefix: A_FUNCTION,
    stem: A_FUNCTION,
    head: A_FUNCTION,
    checkpoint: withMembers({}),
  }),
);

/** A family of models: the meaning of their configurations. */
export interface Family {
  /** `model_type` of its configuration files. */
  readonly modelType: string;
  /** One line for the documentation: which models belong to the family. */
  readonly summary: string;
  /** What distinguishes its models, in Markdown, for the documentation. */
  readonly traits: string;
  /** Auto classes of transformers that load its files, for tasks whose usual class does not; default: the usual class does. */
  readonly autoClasses?: AutoClasses;
  /** False: transformers.js has no class that generates text with it; default: it has one. Tested with 4.3.2. */
  readonly inTransformersJs?: false;
  /** How its GGUF files differ from its folders. */
  readonly gguf: "not-in-gguf" | GgufRules;
  /** Reads a configuration. @throws UsageError "usage/model" that lists every value that is not implemented. */
  open(raw: RawConfig): ModelDefinition;
}

/** Checks the list of families that a caller passes. */
export const FAMILY_LIST = z
  .array(objectWith<Family>("a model family", "modelType", "gguf", "open"))
  .refine((list) => doubleIn(list) === undefined, {
    error: ({ input }) =>
      `two of which have model_type "${doubleIn(input as readonly Family[])}", expected one of each`,
  });

function doubleIn(families: readonly Family[]): string | undefined {
  const types = families.map(({ modelType }) => modelType);
  return types.find((type, i) => types.indexOf(type) < i);
}
