/** @file The programs of a model's head: logits, losses of labels, and gradients, with whatever adapter sits there. */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { crossEntropy } from "../graph/ops/cross-entropy.ts";
import { mul } from "../graph/ops/elementwise.ts";
import { linearCrossEntropy } from "../graph/ops/linear-cross-entropy.ts";
import { type ProgramSpec, neededInputs } from "../graph/program.ts";
import type { BuiltPart, Model } from "../models/model.ts";
import type { PartGraph } from "../models/part-graph.ts";
import { PLAIN_PART, type PartOptions } from "../models/part-options.ts";
import { type AdapterView, placedBy } from "../peft/adapter-view.ts";
import { boundOf, headConstantsOf } from "./arithmetic.ts";
import type { GradientOutput, Makeable } from "./block-programs.ts";
import type { Compiled, Session } from "./session.ts";

export type HeadProgramKind = "normed" | "logits" | "loss" | "lossAndGradients";

/** What a program of the head was made from. */
export interface HeadProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** The tensor behind each input that is one, by full name: a tied matrix is that of the embedding. */
  readonly tensorOf: ReadonlyMap<string, string>;
  /** The input of the head's matrix whose gradient is made in slices of its rows; null: there is none. */
  readonly slicedTable: string | null;
}

/** The trained matrix of the head whose gradient is made in slices of its rows, by the input's name; null: none. */
export function slicedTableOf(
  model: Model,
  trained: readonly string[],
  adapter: Pick<AdapterView, "inputs" | "projector" | "readTensor"> | null,
): string | null {
  const { part, y } = model.buildHead({ ...PLAIN_PART, ...placedBy(adapter, null) });
  const matrix = part.plainProducts.get(y)?.weight;
  const found = Object.entries(part.tensors).find(([, value]) => value === matrix);
  if (!found) return null;
  const tensor = tensorBehind(model, found[0], adapter?.inputs(null) ?? {});
  return trained.includes(tensor) ? tensor : null;
}

/** The tensor that an input of the head reads: a tied matrix is the embedding's, unless the adapter holds them apart. */
function tensorBehind(model: Model, input: string, own: Readonly<Record<string, unknown>>): string {
  return model.ties.has(input) && input in own ? input : model.storedName(input);
}

/** Whether an input is one of an adapter that each position has of its own row, [N, ..]. */
export function isPerPosition({ adapter }: PartGraph, input: string): boolean {
  return adapter[input]?.shape[0] === "N";
}

/** Compiles a program of the head, or returns the one there is. `training`: draw dropout. */
export function compileHead(
  session: Session,
  adapter: AdapterView | null,
  kind: HeadProgramKind,
  training: boolean,
): Promise<Compiled<HeadProgram>> {
  const { key, make } = headProgram(session.model, adapter, kind, training);
  return session.compile(key, make);
}

/** Compiles a program of the frozen head whose product is that of the session's arithmetic, with its matrix bound. */
export function compileBoundHead(
  session: Session,
  product: PartOptions["product"],
  kind: Exclude<HeadProgramKind, "normed" | "lossAndGradients">,
): Promise<Compiled<HeadProgram>> {
  const { model } = session;
  return session.compile(JSON.stringify(["bound-head", kind]), () => {
    const built = model.buildHead({ ...PLAIN_PART, product });
    const { part } = built;
    const bound = new Set(boundOf(part.readsOf(part.tensors)).map(({ tensor }) => tensor));
    const others = part.readsOf(part.tensors).filter(({ tensor }) => !bound.has(tensor));
    const tensorOf = new Map(others.map(({ tensor }) => [tensor, model.storedName(tensor)]));
    const cut = cutProgram(built, kind, tensorOf, new Set(), null);
    return { ...cut, constants: () => headConstantsOf(session, part, cut.spec.inputs) };
  });
}

/** A program of the head, not compiled. */
export function headProgram(
  model: Model,
  adapter: AdapterView | null,
  kind: HeadProgramKind,
  training: boolean,
): Makeable<HeadProgram> {
  const own = adapter?.inputs(null) ?? {};
  const ownNames = [...model.ties.keys()].filter((name) => name in own);
  const trained = (adapter?.trained(null) ?? []).map(({ input }) => input);
  const signature = adapter?.signature(null) ?? "frozen";
  const key = JSON.stringify(["head", kind, training, signature, trained, ownNames]);
  const make = (): ReturnType<typeof cutProgram> => {
    const built = model.buildHead({
      ...PLAIN_PART,
      ...placedBy(adapter, null),
      training,
      headProduct: kind === "normed" ? "none" : "whole",
    });
    const names = Object.keys({ ...built.part.tensors, ...built.part.adapter });
    const tensorOf = new Map(names.map((name) => [name, tensorBehind(model, name, own)]));
    const sliced = kind === "lossAndGradients" ? slicedTableOf(model, trained, adapter) : null;
    return cutProgram(built, kind, tensorOf, new Set(trained), sliced);
  };
  return { key, make };
}

function cutProgram(
  { part, x: hidden, y: logits }: BuiltPart,
  kind: HeadProgramKind,
  tensorOf: HeadProgram["tensorOf"],
  trained: ReadonlySet<string>,
  slicedTable: string | null,
): { spec: ProgramSpec; made: HeadProgram } {
  const labels = part.graph.input("labels", "int64", ["N"]);
  const scale = part.graph.input("scale", "float32", ["N", 1]);
  const given = { hidden, ...part.inputs(), labels, scale };
  const finish = (
    outputs: Record<string, Value>,
    written: readonly GradientOutput[] = [],
  ): { spec: ProgramSpec; made: HeadProgram } => ({
    spec: { name: `head-${kind}`, inputs: neededInputs(outputs, given), outputs },
    made: { part, gradients: written, tensorOf, slicedTable },
  });
  if (kind === "normed") return finish({ normed: part.headInput as Value });
  if (kind === "logits") return finish({ logits });
  // A plain product joins with the loss, so that it is computed once less.
  const plain = part.plainProducts.get(logits);
  const joint = plain && linearCrossEntropy(plain.x, plain.weight, labels);
  const loss = joint ? joint.loss : crossEntropy(logits, labels);
  if (kind === "loss") return finish({ loss });
  const values = { ...part.tensors, ...part.adapter };
  const names = Object.keys(values).filter((name) => {
    const tensor = tensorOf.get(name) as string;
    return trained.has(tensor) && tensor !== slicedTable;
  });
  const [dHidden, ...found] = gradients(
    [{ value: loss, gradient: scale }],
    [hidden, ...names.map((name) => values[name] as Value)],
  );
  const written = names.map((name, i) => ({
    output: `gradient:${name}`,
    input: tensorOf.get(name) as string,
    value: found[i] as Value,
  }));
  return finish(
    {
      loss,
      dHidden: dHidden as Value,
      ...(joint && slicedTable !== null ? { p: joint.p, scaled: mul(scale, plain.x) } : {}),
      ...Object.fromEntries(written.map(({ output, value }) => [output, value])),
    },
    written.map(({ output, input }) => ({ output, input })),
  );
}
