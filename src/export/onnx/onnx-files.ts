/** @file The files of a program with its tensors: the graph, and all data in a second file, as usual for large ONNX models. */
import { UsageError } from "../../errors.ts";
import { type DType, DTYPES, bytesOf } from "../../graph/dtype.ts";
import type { Target } from "../../graph/emitter.ts";
import { toOnnx } from "../../graph/onnx.ts";
import { knownShape, numElements } from "../../graph/shape.ts";
import { type FolderFile, bytesFile, unlikeWritten } from "../../format/files/folder-file.ts";
import { areFinite16, float32ToFloat16 } from "../../quant/codes/half.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import type { WholeProgram } from "./whole-program.ts";

/** Tensors are aligned to cache lines, large ones to pages, so that they can be mapped. */
const alignmentOf = (length: number): number => (length < 2 ** 20 ? 64 : 4096);

/** All kinds of processors read the file, including those whose sums of byte pairs overflow. */
const ANY_TARGET: Target = { bytePairsOverflow: true };

/**
 * Converts a tensor of floats to the type of the file. @throws UsageError "usage/scale" for numbers that float16 cannot represent
 */
function inType(name: string, tensor: HostTensor, dtype: DType): HostTensor {
  if (dtype !== "float16" || tensor.dtype !== "float32") return tensor;
  const data = float32ToFloat16(tensor.data as Float32Array);
  if (areFinite16(data)) return { dtype, shape: tensor.shape, data };
  throw new UsageError(
    "usage/scale",
    `Cannot write tensor "${name}" as f16: one of its numbers is too large for 16-bit floats`,
    { hint: "Choose a wider type: f32." },
  );
}

/**
 * Plans both files; `name` is that of the graph, and with the suffix "_data" that of the data. Tensors are made one group at a
 * time.
 */
export function onnxFiles(name: string, { spec, tensors, shapes }: WholeProgram): FolderFile[] {
  const location = `${name.split("/").at(-1)!}_data`;
  let end = 0;
  const external = new Map(
    tensors
      .flatMap(({ names }) => names)
      .map((tensor) => {
        const { dtype, shape: symbols } = spec.inputs[tensor]!;
        const shape = knownShape(symbols);
        const length = numElements(shape) * DTYPES[dtype].sizeBytes;
        const alignment = alignmentOf(length);
        const offset = Math.ceil(end / alignment) * alignment;
        end = offset + length;
        return [tensor, { shape, location, span: { offset, length } }] as const;
      }),
  );
  const data: FolderFile = {
    name: `${name}_data`,
    async fill(write) {
      let at = 0;
      for (const group of tensors) {
        await group.lend(async (lent) => {
          for (const tensor of group.names) {
            const { offset, length } = external.get(tensor)!.span;
            await write(new Uint8Array(offset - at));
            const kept = inType(tensor, lent[tensor]!, spec.inputs[tensor]!.dtype);
            await write(bytesOf(kept.data).subarray(0, length));
            at = offset + length;
          }
        });
      }
    },
    async check({ path, sizeBytes }) {
      if (sizeBytes !== end) throw unlikeWritten(path, `${sizeBytes} bytes`);
    },
  };
  return [data, bytesFile(name, toOnnx(spec, ANY_TARGET, { external, shapes }))];
}
