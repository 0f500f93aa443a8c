/** @file An engine whose runs a test sees. */
import type { ProgramSpec } from "../../src/graph/program.ts";
import type { Engine } from "../../src/runtime/engine.ts";
import type { Tensors } from "../../src/runtime/host-tensor.ts";

/** Tells of each run of a program before it begins. */
export function watchRuns(
  engine: Engine,
  onRun: (spec: ProgramSpec, feeds: Tensors, into: Tensors) => void,
): Engine {
  return {
    ...engine,
    compile: async (spec, options) => {
      const program = await engine.compile(spec, options);
      return {
        spec,
        run: (feeds, into) => {
          onRun(spec, feeds, into);
          return program.run(feeds, into);
        },
        release: () => program.release(),
      };
    },
  };
}
