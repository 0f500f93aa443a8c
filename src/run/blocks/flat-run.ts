/**
 * @file Runs a block's program together with those of others for the same block: rows of a training, of prompts and of next
 * tokens in one pass over the weights.
 *
 * The flat batch of Loquetier, arXiv:2511.00101: each part has its own adapter, its own attention and its own loss, and products
 * with the same matrix of the base are joined.
 */
import { type ProgramPart, inPart, joinPrograms } from "../../graph/join-programs.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { BlockRun } from "./riders.ts";
import type { Session } from "../session.ts";

/** Runs the programs of several parts as one. Inputs of fixed size that are fed the same tensor become one input. */
export async function runFlat(session: Session, runs: readonly BlockRun[]): Promise<void> {
  const [first, ...others] = runs as readonly [BlockRun, ...BlockRun[]];
  const nameOf = new Map(Object.keys(first.spec.inputs).map((name) => [first.feeds[name], name]));
  const parts: ProgramPart[] = [{ spec: first.spec, shared: new Map() }];
  for (const { spec, feeds } of others) {
    const shared = Object.entries(spec.inputs).flatMap(([name, { shape }]) => {
      const known = shape.every((dim) => typeof dim === "number") ? nameOf.get(feeds[name]) : undefined;
      return known === undefined ? [] : [[name, known] as const];
    });
    parts.push({ spec, shared: new Map(shared) });
  }
  const key = JSON.stringify(["flat", runs.map((run, i) => [run.key, [...parts[i]!.shared]])]);
  const { program } = await session.compile(key, () => ({ spec: joinPrograms(parts), made: null }));
  const named = (of: "feeds" | "into"): Record<string, HostTensor> =>
    Object.fromEntries(
      runs.flatMap((run, i) => Object.entries(run[of]).map(([name, tensor]) => [inPart(i, name), tensor])),
    );
  await program.run(named("feeds"), named("into"));
}
