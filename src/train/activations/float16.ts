/**
 * @file Activations that wait in half precision: the forward pass is exact, the backward pass reads them rounded to 11 bits.
 *
 * A tensor with a number that half precision cannot hold (above 65,504) stays float32, and so does a scalar: it is not an
 * activation but a value that a whole matrix is compared with, such as SNELL's thresholds.
 */
import type { DType } from "../../graph/dtype.ts";
import { Graph } from "../../graph/graph.ts";
import { cast } from "../../graph/ops/shapes/cast.ts";
import type { Saved } from "../../run/blocks/block-runner.ts";
import type { Session } from "../../run/session.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { ActivationForm } from "./keeping.ts";

type Float = "float32" | "float16";

/** Exponent of all ones: infinity or NaN. */
const NOT_FINITE = 0x7c00;

export const float16: ActivationForm = {
  name: "float16",
  summary: "rounded to float16 (half the memory)",
  bytesPerNumber: 2,
  numWhole: 0,
  usesDisk: false,
  isExact: false,
  begin: (session) => {
    const { pool } = session;
    const kept: Record<string, HostTensor<Float>>[] = [];
    return {
      keep: async (tensors) => {
        const halves: Record<string, HostTensor<Float>> = {};
        for (const [name, tensor] of Object.entries(tensors)) halves[name] = await narrowed(session, tensor);
        kept.push(halves);
        // Released only after all are converted: otherwise a float16 tensor would take the memory of a float32 one, twice its size.
        pool.release(...Object.values(tensors).filter((tensor) => !Object.values(halves).includes(tensor)));
      },
      bringBack: async () => {
        const wide: Saved = {};
        for (const [name, tensor] of Object.entries(kept.pop() ?? {}))
          wide[name] = await widened(session, tensor);
        return wide;
      },
      end: () => Promise.resolve(pool.release(...kept.splice(0).flatMap((each) => Object.values(each)))),
    };
  },
};

async function narrowed(session: Session, tensor: HostTensor<"float32">): Promise<HostTensor<Float>> {
  if (tensor.shape.length === 0) return tensor;
  const half = await converted(session, tensor, "float16");
  const isWhole = half.data.every((bits) => (bits & NOT_FINITE) !== NOT_FINITE);
  if (isWhole) return half;
  session.pool.release(half);
  return tensor;
}

async function widened(session: Session, tensor: HostTensor<Float>): Promise<HostTensor<"float32">> {
  if (tensor.dtype === "float32") return tensor as HostTensor<"float32">;
  const wide = await converted(session, tensor, "float32");
  session.pool.release(tensor);
  return wide;
}

/** Converts a tensor to another type; the caller releases the result to the pool. */
async function converted<D extends DType>(session: Session, from: HostTensor, to: D): Promise<HostTensor<D>> {
  const rank = from.shape.length;
  const { program } = await session.compile(`cast ${from.dtype} ${to} ${rank}`, () => {
    const sizes = from.shape.map((_, axis) => `D${axis}`);
    const x = new Graph().input("x", from.dtype, sizes);
    return { spec: { name: "cast", inputs: { x }, outputs: { y: cast(x, to) } }, made: null };
  });
  const y = session.pool.acquire(to, from.shape);
  await program.run({ x: from }, { y });
  return y;
}
