/** @file A block run branch by branch, each branch a program of its own that is cut at what the block marks as branches. */
import { neededInputs } from "../../src/graph/program.ts";
import type { PartGraph } from "../../src/models/graphs/part-graph.ts";
import type { HostTensor } from "../../src/runtime/host-tensor.ts";
import type { BlockPass, BlockRunner } from "../../src/run/blocks/block-runner.ts";
import { type BlockStructure, compileOfBlock, programOfBlock } from "../../src/run/blocks/block-structure.ts";
import type { Session } from "../../src/run/session.ts";
import type { Compiled } from "../../src/run/session-programs.ts";

/** A stretch of a block's residual stream as a program from `x` to `y`: a branch, with what follows before the next. */
interface StretchProgram {
  readonly part: PartGraph;
  /** Whether the stream stays as it is when the branch does not run. */
  readonly isNothingElse: boolean;
  /** Whether it reads what went into the block too, as a branch beside another does. */
  readonly readsBlock: boolean;
}

/**
 * Compiles the forward program of a branch with what follows before the next one, or of that alone. A norm
 * behind a branch is so in one program with its sum, as in the whole block: the runtime joins them, and rounds otherwise.
 */
function compileStretch(
  session: Session,
  structure: BlockStructure,
  length: number,
  index: number,
  runsBranch: boolean,
): Promise<Compiled<StretchProgram>> {
  const of = { own: ["stretch", index, runsBranch], length, dropped: [] };
  const program = programOfBlock(session.model, structure, of, ({ part, x, y }) => {
    if (part.branches[0]?.input !== x)
      throw new RangeError("Cannot cut a block: it does not begin with a branch");
    const { name, input, sum } = part.branches[index]!;
    const end = part.branches[index + 1]?.input ?? y;
    const outputs = { y: end };
    const stream = runsBranch ? input : sum;
    const given = { x: stream, ...(stream === x ? {} : { block: x }), ...part.inputs() };
    const inputs = neededInputs(outputs, given);
    const spec = { name: `block-${runsBranch ? "" : "without-"}${name}`, inputs, outputs };
    return { spec, made: { part, isNothingElse: end === sum, readsBlock: "block" in inputs } };
  });
  return compileOfBlock(session, structure, program);
}

/**
 * Runs a block on x [B, T, D] branch by branch, each a program of its own: before it `runs` is asked, with the stream
 * that goes in, whether it shall; a branch that does not run changes nothing. Returns y, which the caller releases.
 */
export async function forwardByBranch(
  runner: BlockRunner,
  layer: number,
  x: HostTensor<"float32">,
  pass: BlockPass,
  runs: (branch: string, stream: HostTensor<"float32">) => boolean | Promise<boolean>,
): Promise<HostTensor<"float32">> {
  const { session } = runner;
  const { pool, model } = session;
  const structure = runner.structureOf(layer);
  const { length } = pass.context.facts;
  const stretches = await Promise.all(
    (model.layers[layer]?.branches ?? []).map(async ({ name: branch }, index) => ({
      branch,
      whole: await compileStretch(session, structure, length, index, true),
      without: (): ReturnType<typeof compileStretch> =>
        compileStretch(session, structure, length, index, false),
    })),
  );
  const { part } = stretches[0]!.whole.made;
  const { feeds, lent } = await runner.feeds(layer, layer + 1, pass, part);
  let stream = pool.acquire("float32", x.shape);
  stream.data.set(x.data);
  for (const { branch, whole, without } of stretches) {
    const isRun = await runs(branch, stream);
    if (!isRun && whole.made.isNothingElse) continue;
    const { program, made } = isRun ? whole : await without();
    const y = pool.acquire("float32", x.shape);
    await program.run({ ...feeds, x: stream, ...(made.readsBlock && { block: x }) }, { y });
    pool.release(stream);
    stream = y;
  }
  pool.release(...lent);
  return stream;
}
