/** @file The programs of the stem (what comes before the blocks) and their gradients: rows of a table, or a family's own graph. */
import { gradients } from "../graph/autodiff.ts";
import type { Value } from "../graph/graph.ts";
import { neededInputs } from "../graph/program.ts";
import type { PartGraph } from "../models/graphs/part-graph.ts";
import type { GatheredRows } from "../models/graphs/part-look-ups.ts";
import { type AdapterView, partWith } from "../peft/adapter-view.ts";
import { type GradientOutput, gradientName, writeGradients } from "./gradients/gradient-outputs.ts";
import type { Session } from "./session.ts";
import type { MadeProgram } from "./session-programs.ts";

/** Names of the output with what each layer is given, [L, B, T, W], and of the input with its gradient. */
export const LAYERS = "layers";
export const GRADIENT_OF_LAYERS = "gradient_of_layers";

/** What a program of the stem was made from. */
export interface StemProgram {
  readonly part: PartGraph;
  readonly gradients: readonly GradientOutput[];
  /** Gradients of the looked up rows of trained tables. */
  readonly rowGradients: readonly (GatheredRows & { readonly output: string })[];
}

/** Whether any trained input belongs to the stem. */
export function trainsStem(part: PartGraph, trained: readonly string[]): boolean {
  return trained.some(
    (input) => input in inputsOf(part) || part.gathered.some(({ table }) => table === input),
  );
}

/** Tensors of the base and of the adapter, by full name. */
function inputsOf(part: PartGraph): Record<string, Value> {
  return { ...part.tensors, ...part.adapter };
}

/** Whether rows of a frozen table are read where they are stored, because nothing needs all of it in float32. */
export function isReadByRows(session: Pick<Session, "compute" | "isLargeTable">, table: string): boolean {
  return session.isLargeTable(table) || session.compute.hasHead === true;
}

/** Describes a program of the stem without compiling it. */
export function stemProgram(
  session: Pick<Session, "model" | "compute" | "isLargeTable">,
  adapter: AdapterView,
  direction: "forward" | "backward",
): MadeProgram<StemProgram> {
  const own = adapter.inputs(null);
  const wanted = new Set(adapter.trained(null).map((parameter) => parameter.input));
  const built = session.model.buildStem({
    ...partWith(adapter, null),
    // The gradient of a trained table consists of rows as well, and is never that of a whole table.
    isGathered: (table) => wanted.has(table) || (!(table in own) && isReadByRows(session, table)),
  });
  const { part, x: input, y: x } = built;
  const given = { input, ...part.inputs() };
  const layers = part.links.layers ? { [LAYERS]: part.links.layers } : {};
  if (direction === "forward") {
    const outputs = { x, ...layers };
    return {
      spec: { name: "stem", inputs: neededInputs(outputs, given), outputs },
      made: { part, gradients: [], rowGradients: [] },
    };
  }
  const trained = Object.entries(inputsOf(part)).filter(([name]) => wanted.has(name));
  const dx = part.graph.input("dx", "float32", x.shape);
  const gathered = part.gathered.filter(({ table }) => wanted.has(table));
  const ofLayers = Object.values(layers).map((value) => ({
    value,
    gradient: part.graph.input(GRADIENT_OF_LAYERS, "float32", value.shape),
  }));
  const found = gradients(
    [{ value: x, gradient: dx }, ...ofLayers],
    [...trained.map(([, value]) => value), ...gathered.map(({ rows }) => rows)],
  );
  const names = [...trained.map(([name]) => name), ...gathered.map(({ rows }) => rows.name)];
  const { outputs, gradients: written } = writeGradients(names, found);
  const rowGradients = gathered.map((each) => ({ ...each, output: gradientName(each.rows.name) }));
  return {
    spec: {
      name: "stem-backward",
      inputs: neededInputs(outputs, {
        ...given,
        dx,
        ...(ofLayers[0] && { [GRADIENT_OF_LAYERS]: ofLayers[0].gradient }),
      }),
      outputs,
    },
    made: { part, gradients: written.filter(({ input }) => wanted.has(input)), rowGradients },
  };
}
