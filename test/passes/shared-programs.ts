/** @file An engine whose equal programs are compiled once: most of the time of tests that open a model again and again. */
import { createHash } from "node:crypto";
import { PLAIN_TARGET } from "../../src/graph/emitter.ts";
import { toOnnx } from "../../src/graph/onnx.ts";
import type { Engine, Program } from "../../src/runtime/engine.ts";

interface Shared {
  readonly compiled: Promise<Program>;
  numUsers: number;
}

/** Keeps up to `maxIdle` programs that nobody uses. Programs with constants are compiled each by itself. */
export function sharePrograms(engine: Engine, maxIdle = 150): Engine {
  /** Those that nobody has used for longest come first. */
  const programs = new Map<string, Shared>();

  const give = async (key: string, shared: Shared): Promise<void> => {
    shared.numUsers--;
    programs.delete(key);
    programs.set(key, shared);
    const idle = [...programs].filter(([, { numUsers }]) => numUsers === 0);
    for (const [old, { compiled }] of idle.slice(0, Math.max(0, idle.length - maxIdle))) {
      programs.delete(old);
      await (await compiled).release();
    }
  };

  return {
    ...engine,
    async compile(spec, options) {
      if (Object.keys(spec.inputs).some((name) => options?.constants?.[name] !== undefined)) {
        return await engine.compile(spec, options);
      }
      const key = createHash("sha256").update(toOnnx(spec, PLAIN_TARGET)).digest("hex");
      let shared = programs.get(key);
      if (!shared) programs.set(key, (shared = { compiled: engine.compile(spec), numUsers: 0 }));
      shared.numUsers++;
      const own = shared;
      const program = await own.compiled;
      let isReleased = false;
      return {
        spec,
        run: (feeds, into) => program.run(feeds, into),
        async release() {
          if (isReleased) return;
          isReleased = true;
          await give(key, own);
        },
      };
    },
  };
}
