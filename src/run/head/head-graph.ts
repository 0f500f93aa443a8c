/** @file The programs of a model's head with its adapter: logits, losses of labels, and gradients. */
import type { Tensors } from "../../runtime/host-tensor.ts";
import { gradients } from "../../graph/autodiff.ts";
import type { Value } from "../../graph/graph.ts";
import { crossEntropy } from "../../graph/ops/losses/cross-entropy.ts";
import { mul } from "../../graph/ops/pointwise/elementwise.ts";
import { neededInputs } from "../../graph/program.ts";
import type { BuiltPart } from "../../models/graphs/built-part.ts";
import type { Model } from "../../models/model.ts";
import type { PartGraph } from "../../models/graphs/part-graph.ts";
import { type TensorRead, operandNames } from "../../models/graphs/part-tensors.ts";
import { PLAIN_PART } from "../../models/graphs/part-options.ts";
import { type AdapterView, NO_ADAPTER, partWith } from "../../peft/adapter-view.ts";
import {
  type Amount,
  type HeadArithmetic,
  type SessionOutline,
  boundOf,
  headArithmeticOf,
} from "../arithmetic.ts";
import { type GradientOutput, writeGradients } from "../gradients/gradient-outputs.ts";
import { targetLoss } from "./target-loss.ts";
import type { Session } from "../session.ts";
import type { Compiled, MadeProgram, Makeable } from "../session-programs.ts";

export type HeadProgramKind = "normed" | "logits" | "loss" | "lossAndGradients";

/** What a program of the head was made from. */
export interface HeadProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** Name of the tensor behind each float32 input, by full name: a tied matrix is that of the embedding. */
  readonly tensorOf: ReadonlyMap<string, string>;
  /** Other tensors that it is fed, in the session's arithmetic. */
  readonly reads: readonly TensorRead[];
  /** Input with the head's matrix, if its gradient is computed in slices of rows; null: there is none. */
  readonly slicedTable: string | null;
}

/** Name of the trained matrix of the head whose gradient is computed in slices of rows; null: none. */
export function slicedTableOf(
  model: Model,
  trained: readonly string[],
  adapter: Pick<AdapterView, "inputs" | "projector" | "readTensor" | "lookUp">,
): string | null {
  // The matrix of such a head has few rows and is not sliced.
  if (model.hasTargets) return null;
  const { part, y } = model.buildHead(partWith(adapter, null));
  const matrix = part.plainProducts.get(y)?.operands[""];
  const found = Object.entries(part.tensors).find(([, value]) => value === matrix);
  if (!found) return null;
  const tensor = tensorBehind(model, found[0], adapter.inputs(null));
  return trained.includes(tensor) ? tensor : null;
}

/** Name of the tensor that an input of the head reads: a tied matrix is the embedding's, unless the adapter has its own. */
function tensorBehind(model: Model, input: string, own: Readonly<Record<string, unknown>>): string {
  return model.ties.has(input) && input in own ? input : model.storedName(input);
}

/** Whether an adapter's input has one row for each position, [N, ..]. */
export function isPerPosition({ adapter }: PartGraph, input: string): boolean {
  return adapter[input]?.shape[0] === "N";
}

/** Which program of the head. `training`: it draws dropout; `arithmetic`: as `headArithmetic` returns it. */
export interface HeadVariant {
  readonly kind: HeadProgramKind;
  readonly training: boolean;
  readonly arithmetic: HeadArithmetic | null;
}

/** Compiles a program of the head, or returns the compiled one. */
export function compileHead(
  session: Session,
  adapter: AdapterView,
  variant: HeadVariant,
): Promise<Compiled<HeadProgram>> {
  const { key, make } = headProgram(session.model, adapter, variant);
  return session.compile(
    key,
    () => {
      const source = make();
      const bound = boundOf(source.made.part.readsOf(source.spec.inputs));
      return { ...source, constants: () => prepareAll(session, bound) };
    },
    adapter,
  );
}

/** Separates the tensors that a part reads: names of those in float32, and reads in another arithmetic. */
export function splitReads(part: PartGraph): {
  readonly plain: readonly string[];
  readonly rounded: readonly TensorRead[];
} {
  const rounded = part.readsOf(part.tensors).filter(({ tensor }) => !(tensor in part.tensors));
  const others = new Set(rounded.flatMap(operandNames));
  return { plain: Object.keys(part.tensors).filter((name) => !others.has(name)), rounded };
}

/** Reads tensors outside the blocks as programs need them, by input name. */
export async function prepareAll(
  { weights }: Pick<Session, "weights">,
  reads: readonly TensorRead[],
): Promise<Tensors> {
  const made = await Promise.all(reads.map((read) => weights.prepareOutsideBlocks(read)));
  return Object.assign({}, ...made);
}

/** Whether an adapter changes the head or the final norm, or trains one of their tensors. */
export function changesHead({ model }: Pick<Session, "model">, adapter: AdapterView): boolean {
  const { part } = model.buildHead(partWith(adapter, null));
  const own = adapter.inputs(null);
  if (Object.keys(part.adapter).length > 0) return true;
  return Object.keys(part.tensors).some((name) => name in own || model.storedName(name) in own);
}

/** The arithmetic in which programs of a kind multiply with the head's matrix; null: float32. */
export function headArithmetic(
  session: SessionOutline,
  adapter: AdapterView,
  kind: HeadProgramKind,
  amount: Amount = "any",
): HeadArithmetic | null {
  const own = changesHead(session, adapter) ? null : headArithmeticOf(session, amount);
  if (own === null || kind !== "lossAndGradients") return own;
  if (session.model.hasTargets) return null;
  const { part, y } = session.model.buildHead({ ...PLAIN_PART, ...own });
  return part.plainProducts.get(y)?.product.crossEntropy ? own : null;
}

/** Describes a program of the head without compiling it. */
export function headProgram(
  model: Model,
  given: AdapterView,
  { kind, training, arithmetic }: HeadVariant,
): Makeable<HeadProgram> {
  // In another arithmetic than float32 no adapter changes the head, so all adapters share its programs.
  const adapter = arithmetic === null ? given : NO_ADAPTER;
  const own = adapter.inputs(null);
  const ownNames = [...model.ties.keys()].filter((name) => name in own);
  const trained = adapter.trained(null).map(({ input }) => input);
  const signature = adapter.signature(null);
  const amount = arithmetic?.amount ?? null;
  const key = JSON.stringify(["head", kind, training, signature, trained, ownNames, amount]);
  const make = (): MadeProgram<HeadProgram> => {
    const built = model.buildHead({
      ...partWith(adapter, null),
      ...arithmetic,
      training,
      headProduct: kind === "normed" ? "none" : "whole",
    });
    const { part } = built;
    const { plain, rounded } = splitReads(part);
    const names = [...plain, ...Object.keys(part.adapter)];
    const tensorOf = new Map(names.map((name) => [name, tensorBehind(model, name, own)]));
    const fed = rounded.filter(({ preparation }) => preparation.binding === "fed");
    const sliced = kind === "lossAndGradients" ? slicedTableOf(model, trained, adapter) : null;
    const sources = { tensorOf, reads: fed, slicedTable: sliced };
    return cutProgram(built, { kind, model }, sources, new Set(trained));
  };
  return { key, make };
}

function cutProgram(
  { part, x: hidden, y: logits }: BuiltPart,
  { kind, model }: { readonly kind: HeadProgramKind; readonly model: Model },
  sources: Pick<HeadProgram, "tensorOf" | "reads" | "slicedTable">,
  trained: ReadonlySet<string>,
): MadeProgram<HeadProgram> {
  const { tensorOf, slicedTable } = sources;
  const labels = part.graph.input("labels", "int64", ["N"]);
  const targets = part.graph.input("targets", "float32", ["N", model.numOutputs]);
  const scale = part.graph.input("scale", "float32", ["N", 1]);
  const given = { hidden, ...part.inputs(), labels, targets, scale };
  const finish = (
    outputs: Record<string, Value>,
    written: readonly GradientOutput[] = [],
  ): MadeProgram<HeadProgram> => ({
    spec: { name: `head-${kind}`, inputs: neededInputs(outputs, given), outputs },
    made: { part, gradients: written, ...sources },
  });
  if (kind === "normed") return finish({ normed: part.head.input! });
  if (kind === "logits") return finish({ logits });
  // A plain product is fused with the loss, so that it is computed once less.
  const plain = model.hasTargets ? undefined : part.plainProducts.get(logits);
  const joint = plain?.product.crossEntropy?.(plain.x, plain.operands, labels);
  const ofOutputs = (): Value =>
    model.hasTargets ? targetLoss(model.problem, logits, targets) : crossEntropy(logits, labels);
  const loss = joint ? joint.loss : ofOutputs();
  if (kind === "loss") return finish({ loss });
  const values = { ...part.tensors, ...part.adapter };
  const names = Object.keys(values).filter((name) => {
    const tensor = tensorOf.get(name)!;
    return trained.has(tensor) && tensor !== slicedTable;
  });
  const [dHidden, ...found] = gradients(
    [{ value: loss, gradient: scale }],
    [hidden, ...names.map((name) => values[name]!)],
  );
  const written = writeGradients(names, found, (name) => tensorOf.get(name)!);
  return finish(
    {
      loss,
      dHidden: dHidden!,
      ...(plain && joint && slicedTable !== null ? { p: joint.p, scaled: mul(scale, plain.x) } : {}),
      ...written.outputs,
    },
    written.gradients,
  );
}
