/** @file What an adapter gives rows of a batch, made once when it comes: of its tensors, and of the base's weights where a method asks for that. */
import { UsageError } from "../errors.ts";
import { Graph } from "../graph/graph.ts";
import { neededInputs } from "../graph/program.ts";
import type { BaseModel } from "../models/base-model.ts";
import type { Engine, Program } from "../runtime/engine.ts";
import { type HostTensor, zeros } from "../runtime/host-tensor.ts";
import type { Adapter } from "./attach.ts";
import type { AdaptedSite } from "./layout.ts";
import type { Method, RowBatch, RowForm } from "./method.ts";
import { inputSite } from "./site-inputs.ts";
import type { SiteTensors } from "./site.ts";

/** An adapter that may be that of a row. */
export interface RowMember {
  readonly adapter: Adapter;
  readonly batch: RowBatch<unknown>;
  /** What it has at its sites, by path. */
  readonly forms: ReadonlyMap<string, RowForm<unknown>>;
}

/** Makes what rows need of an adapter. @throws UsageError "usage/adapter" when they cannot have it */
export async function formRows(engine: Engine, base: BaseModel, adapter: Adapter): Promise<RowMember> {
  const batch = batchOf(adapter.method);
  refuseWholeTensors(adapter);
  const forms = new Map<string, RowForm<unknown>>();
  const programs = new Map<string, Promise<Program>>();
  try {
    for (const [path, site] of adapter.sites) {
      refuseOutsideBlocks(site);
      const tensors = adapter.tensorsOf(site) as SiteTensors;
      const made = await computeOfBase(engine, base, adapter, site, batch, programs);
      forms.set(path, batch.form({ ...tensors, ...made }, site.spec, site.options));
    }
  } finally {
    for (const program of programs.values()) await (await program.catch(() => null))?.release();
  }
  return { adapter, batch, forms };
}

/** How rows differ. @throws UsageError "usage/adapter" when they cannot */
function batchOf(method: Method): RowBatch<unknown> {
  const batch = method.kind === "adapter" ? method.batch : "not-batchable";
  if (batch !== "not-batchable") return batch;
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters of method "${method.name}" in one batch: its rows cannot differ`,
    { hint: "Run the requests of each adapter on their own." },
  );
}

/** Rows share the tensors of the base. @throws UsageError "usage/adapter" when an adapter has its own */
function refuseWholeTensors({ parameters }: Adapter): void {
  for (const { name, owner } of parameters) {
    if (owner.kind === "site") continue;
    throw new UsageError(
      "usage/adapter",
      `Cannot put adapters in one batch: one has a "${name}" of its own, expected the base's`,
      { hint: "Run the requests of that adapter on their own." },
    );
  }
}

/** Rows are told apart in blocks. @throws UsageError "usage/adapter" when a site lies elsewhere */
function refuseOutsideBlocks({ path, layer }: AdaptedSite): void {
  if (layer !== null) return;
  throw new UsageError(
    "usage/adapter",
    `Cannot put adapters in one batch: one is on "${path}", expected modules of the blocks`,
    { hint: "Run the requests of that adapter on their own." },
  );
}

/** Computes what a form needs of the base's weights at a site, by name; sites of equal sizes and options share a program. */
async function computeOfBase(
  engine: Engine,
  base: BaseModel,
  adapter: Adapter,
  site: AdaptedSite,
  { ofBase }: RowBatch<unknown>,
  programs: Map<string, Promise<Program>>,
): Promise<SiteTensors> {
  if (!ofBase) return {};
  const { spec, options, path } = site;
  const key = JSON.stringify([{ ...spec, name: "" }, options, site.parameters, site.frozen]);
  let compiled = programs.get(key);
  if (!compiled) {
    const { weights, values, inputs } = inputSite(new Graph(), site);
    const outputs = ofBase(weights, values, spec, options);
    const name = `rows-${adapter.method.name}`;
    compiled = engine.compile({ name, inputs: neededInputs(outputs, inputs), outputs });
    programs.set(key, compiled);
  }
  const program = await compiled;
  const feeds: Record<string, HostTensor> = {};
  for (const [suffix, tensor] of Object.entries(adapter.tensorsOf(site))) {
    if (suffix in program.spec.inputs) feeds[suffix] = tensor;
  }
  for (const own of ["weight", "bias"]) {
    if (own in program.spec.inputs) feeds[own] = await base.values(`${path}.${own}`);
  }
  const made = Object.fromEntries(
    Object.entries(program.spec.outputs).map(([name, { shape }]) => [
      name,
      zeros("float32", shape as number[]),
    ]),
  );
  await program.run(feeds, made);
  return made;
}
