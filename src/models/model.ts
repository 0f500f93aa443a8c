/**
 * @file A model as the rest of graft sees it: what its family's definition declares, found by running it once.
 *
 * Layers of the same definition have the same `kind` and share programs.
 */
import { assertInternal } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import { requireValue } from "../graph/require-value.ts";
import type { Shape } from "../graph/shape.ts";
import { parseSettings } from "../messages/problems.ts";
import { numAlikePositions } from "../nn/rope/rope-scaling.ts";
import {
  DEFINITION,
  type Family,
  type ImageConfig,
  type Layer,
  type ModelDefinition,
  type RawConfig,
} from "./family.ts";
import { MODEL_TASKS, type ModelTask } from "./model-tasks.ts";
import { factsOf, problemOf, type ProblemType } from "./config/classifier-config.ts";
import { requireModelSize } from "../untrusted/limits.ts";
import { type ModelLayer, type Part, declaredLayer } from "./model-layer.ts";
import { isOutside, wholePath } from "./module-path.ts";
import { type BuiltPart, buildPart } from "./graphs/built-part.ts";
import { withImageProcessor } from "./config/image-processor.ts";
import { PLAIN_PART, type PartOptions } from "./graphs/part-options.ts";
import type { ModelTensor, SiteSpec, TensorSpec } from "./graphs/sites.ts";

/** What a model is made of: sizes, tensors, sites and the graphs of its parts, but no weights. */
export class Model {
  readonly family: Family;
  readonly raw: RawConfig;
  readonly layers: readonly ModelLayer[];
  readonly stem: Part;
  /** The site of the table in which token ids are looked up; null: the model reads images. */
  readonly embedding: SiteSpec | null;
  /** What images must be like; null: the model reads tokens. */
  readonly image: ImageConfig | null;
  /** Settings by which images are prepared; null: the family's own, or there are no images. */
  readonly imageProcessor: RawConfig | null;
  /** Whether what stands before the blocks gives each of them something beside the stream. */
  readonly givesLayers: boolean;
  readonly head: Part;
  /** Tied tensors outside the blocks: name → name of the tensor that has their values. */
  readonly ties: ReadonlyMap<string, string>;
  /** All tensors of a checkpoint, by Hugging Face name: stem, blocks, head. */
  readonly tensors: ReadonlyMap<string, ModelTensor>;
  /** The matrix of the output head, under its own name even if tied. */
  readonly headTensor: ModelTensor;
  readonly #sites: ReadonlyMap<string, SiteSpec>;
  readonly #definition: ModelDefinition;
  readonly #kinds: readonly Layer[];

  /** `imageProcessor`: as `Checkpoint` has it. @throws UsageError "usage/model" when the configuration is not implemented */
  constructor(family: Family, raw: RawConfig, imageProcessor: RawConfig | null = null) {
    this.family = family;
    this.raw = raw;
    requireModelSize(raw);
    this.#definition = family.open(raw);
    parseSettings(DEFINITION(), this.#definition, `what open() of family "${family.modelType}" returns`);
    const { image } = this.#definition;
    this.imageProcessor = image && imageProcessor;
    this.image = image && this.imageProcessor ? withImageProcessor(image, this.imageProcessor) : image;
    this.#kinds = [...new Set(this.#definition.layers)];
    const kinds = this.#kinds.map((_, kind) => declaredLayer(kind, this.#build(kind, PLAIN_PART).part));
    this.layers = withKeys(
      this.#definition.layers.map((layer) => kinds[this.#kinds.indexOf(layer)]!),
      this.#definition.keysFrom ?? (() => null),
    );
    const { part: stem, x: ids, y: embedded } = this.buildStem(PLAIN_PART);
    // The family decides how many positions an image has.
    const length = this.image ? (embedded?.shape?.[1] ?? "T") : "T";
    this.#requireBuilt("stem()", embedded, ids, ["B", length, this.width]);
    const { part: head, x: hidden, y: logits } = this.buildHead(PLAIN_PART);
    this.#requireBuilt("head()", logits, hidden, ["N", this.numOutputs]);
    this.ties = head.ties;
    this.embedding = stem.lookUps.get(ids) ?? null;
    this.givesLayers = stem.links.layers !== null;
    this.stem = { tensors: stem.specs, sites: stem.sites };
    this.head = { tensors: head.specs.filter(({ name }) => !head.ties.has(name)), sites: head.sites };
    const outside = (spec: TensorSpec): ModelTensor => ({ ...spec, layer: null, path: spec.name });
    this.headTensor = outside(head.specs.findLast(({ role }) => role === "head")!);
    const inBlocks = this.layers.flatMap(({ tensors }, layer) =>
      tensors.map((spec) => this.#tensorOf(layer, spec)),
    );
    const all = [...this.stem.tensors.map(outside), ...inBlocks, ...this.head.tensors.map(outside)];
    this.tensors = new Map(all.map((spec) => [spec.name, spec]));
    const blockSites = this.layers.flatMap(({ sites }, layer) =>
      sites.map((site): [string, SiteSpec] => [this.blockPrefix(layer) + site.name, site]),
    );
    this.#sites = new Map([
      ...blockSites,
      ...this.sitesOutsideBlocks.map((site): [string, SiteSpec] => [site.name, site]),
    ]);
  }

  get modelType(): string {
    return this.family.modelType;
  }

  get task(): ModelTask {
    return this.#definition.task;
  }

  /** What its outputs mean as classes; null: they are tokens. */
  get problem(): ProblemType | null {
    return this.hasVocabularyHead ? null : problemOf(this.raw);
  }

  /** Whether labels give a target number for each output, instead of the one right output. */
  get hasTargets(): boolean {
    return factsOf(this.problem).hasTargets;
  }

  /** The settings of its configuration, with defaults for those that it leaves out. */
  get settings(): RawConfig {
    return this.#definition.settings;
  }

  /** Model width D. */
  get width(): number {
    return this.#definition.width;
  }

  /** Rows V of the output head. */
  get numOutputs(): number {
    return this.#definition.numOutputs;
  }

  /** Tokens that the model knows; null: it reads images. */
  get vocabSize(): number | null {
    return this.#definition.vocabSize;
  }

  /** Whether its head tells tokens, and no classes. */
  get hasVocabularyHead(): boolean {
    return MODEL_TASKS[this.task].writesText;
  }

  /** The outermost module of the head's matrix: the first name in its path. */
  get headModule(): string {
    return this.headTensor.name.split(".")[0]!;
  }

  /**
   * What files of a base without classes may lack: the head, and projections in layers without branches, which stand between the
   * last block and the head.
   */
  get wholeHead(): Part {
    const before = this.layers.flatMap(({ branches, sites }, layer) =>
      branches.length > 0
        ? []
        : sites.map((site) => ({ ...site, name: this.blockPrefix(layer) + site.name })),
    );
    const tensors = before.flatMap(({ name }) =>
      ["weight", "bias"].flatMap((part) => this.tensors.get(`${name}.${part}`) ?? []),
    );
    return { tensors: [...tensors, ...this.head.tensors], sites: [...before, ...this.head.sites] };
  }

  /** The modules of the head that adapter files hold whole: those whose names end with that of its matrix, as peft matches them. */
  get headModules(): readonly string[] {
    const modules = new Set(this.head.sites.map(({ name }) => name.split(".")[0]!));
    return [...modules].filter((name) => name.endsWith(this.headModule));
  }

  get maxPositions(): number {
    return this.#definition.maxPositions;
  }

  /** Length of a text up to which its cached keys stay valid; beyond it, `longrope` rotates all of them differently. */
  get numAlikePositions(): number {
    const limits = this.layers.map(({ attention }) =>
      attention?.rope ? numAlikePositions(attention.rope.scaling) : Infinity,
    );
    return Math.min(...limits);
  }

  get numLayers(): number {
    return this.layers.length;
  }

  get classPosition(): ModelDefinition["classPosition"] {
    return this.#definition.classPosition;
  }

  get checkpoint(): ModelDefinition["checkpoint"] {
    return this.#definition.checkpoint;
  }

  get sitesOutsideBlocks(): readonly SiteSpec[] {
    return [...this.stem.sites, ...this.head.sites];
  }

  /** Whether another layer reads the keys and values of this one. */
  givesKeys(layer: number): boolean {
    return this.layers.some(({ keysFrom }) => keysFrom === layer);
  }

  /** Finds the site of a module by its whole path. */
  siteOf(path: string): SiteSpec | undefined {
    return this.#sites.get(path);
  }

  /** Returns the prefix of names in block `layer`, including its final dot. */
  blockPrefix(layer: number): string {
    return this.#definition.blockPrefix(layer);
  }

  /** Returns the whole name of the tensor at a path in a block. */
  tensorName(layer: number, path: string): string {
    return wholePath(this.blockPrefix(layer), path);
  }

  #tensorOf(layer: number, spec: TensorSpec): ModelTensor {
    const { name: path } = spec;
    return { ...spec, name: this.tensorName(layer, path), path, layer: isOutside(path) ? null : layer };
  }

  /** Returns the name under which a checkpoint stores a tensor's values: for a tied head, that of the embedding. */
  storedName(tensor: string): string {
    return this.ties.get(tensor) ?? tensor;
  }

  /** Returns the model with a separate matrix for the output head. */
  untied(): Model {
    if (this.ties.size === 0) return this;
    const untied = new Model(this.family, this.checkpoint.untiedConfig(this.raw), this.imageProcessor);
    assertInternal(untied.ties.size === 0, `a head of its own for ${this.modelType}`);
    return untied;
  }

  /** Builds a block: x [B, T, D] to y [B, T, D]. @throws RangeError for a layer that the model does not have */
  buildBlock(layer: number, options: PartOptions): BuiltPart {
    const found = this.layers[layer];
    if (found) return this.#build(found.kind, options);
    throw new RangeError(`Cannot build block ${layer}: expected 0 to ${this.layers.length - 1}`);
  }

  #build(kind: number, options: PartOptions): BuiltPart {
    return buildPart(options, (part) => {
      const x = part.graph.input("x", "float32", ["B", "T", this.width]);
      const y = this.#requireBuilt("build() of a layer", this.#kinds[kind]!.build(part, x), x, x.shape);
      return { x, y: part.residual(y) };
    });
  }

  /** Builds the stem: ids int64 [B, T] or pixels [B, C, H, W] to [B, T, D]. */
  buildStem(options: PartOptions): BuiltPart {
    const { image } = this;
    return buildPart(options, (part) => {
      const x = image
        ? part.graph.input("input", "float32", ["B", image.channels, image.size, image.size])
        : part.graph.input("input", "int64", ["B", "T"]);
      return { x, y: this.#definition.stem(part, x) };
    });
  }

  /** Builds the head: some rows [N, D] to logits [N, V]. */
  buildHead(options: PartOptions): BuiltPart {
    return buildPart(options, (part) => {
      const x = part.graph.input("hidden", "float32", ["N", this.width]);
      return { x, y: this.#definition.head(part, x) };
    });
  }

  /**
   * Returns what a function of the family has built, after checking it. @throws UsageError "usage/flag" for another shape or
   * anything else
   */
  #requireBuilt(by: string, built: Value, like: Value, shape: Shape): Value {
    return requireValue(built, { like, shape }, `family "${this.modelType}": ${by} returns`);
  }
}

/** Adds to layers those whose keys they read; equal results are one object. */
function withKeys(
  layers: readonly ModelLayer[],
  keysFrom: (layer: number) => number | null,
): readonly ModelLayer[] {
  const made = new Map<string, ModelLayer>();
  return layers.map((layer, index) => {
    const from = keysFrom(index);
    if (from === null) return layer;
    const key = `${layer.kind} ${from}`;
    const known = made.get(key) ?? { ...layer, keysFrom: from };
    made.set(key, known);
    return known;
  });
}
