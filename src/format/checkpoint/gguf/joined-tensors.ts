/**
 * @file Splits tensors of queries, keys and values that a converter was asked to join (llama.cpp's `--fuse-qkv`), in families
 * whose files usually have them separately; each part is read from its place in the file.
 */
import type { GgufRules } from "../../../models/config/gguf-rules.ts";
import type { GgufFile, GgufTensor } from "../../files/gguf/gguf.ts";

const JOINED = "attn_qkv";
const PARTS = ["attn_q", "attn_k", "attn_v"];

/** Returns a file with such tensors split; `file` itself if it has none. */
export function withTensorsApart(file: GgufFile, { inBlock }: Pick<GgufRules, "inBlock">): GgufFile {
  if (Object.hasOwn(inBlock, JOINED) || !PARTS.every((part) => Object.hasOwn(inBlock, part))) return file;
  const apart = [...file.tensors.values()].flatMap((tensor) => partsOf(tensor, file));
  if (apart.length === file.tensors.size) return file;
  return { ...file, tensors: new Map(apart.map((tensor) => [tensor.name, tensor])) };
}

/** Returns the parts of a joined tensor; for another one, only itself. */
function partsOf(tensor: GgufTensor, { tensors }: GgufFile): GgufTensor[] {
  const { before, kind } =
    /^(?<before>blk\.\d+\.)attn_qkv\.(?<kind>weight|bias)$/.exec(tensor.name)?.groups ?? {};
  const [numRows = 0, ...rest] = tensor.shape;
  // The output projection has as many columns as there are rows of queries.
  const numQueries = tensors.get(`${before}attn_output.weight`)?.shape[1] ?? 0;
  const numKeys = (numRows - numQueries) / 2;
  if (before === undefined || numQueries === 0 || numKeys <= 0 || !Number.isInteger(numKeys)) return [tensor];
  const rowBytes = tensor.sizeBytes / numRows;
  let { offset } = tensor;
  return PARTS.map((part, i) => {
    const shape = [i === 0 ? numQueries : numKeys, ...rest];
    const own = {
      ...tensor,
      name: `${before}${part}.${kind}`,
      shape,
      offset,
      sizeBytes: shape[0]! * rowBytes,
    };
    offset += own.sizeBytes;
    return own;
  });
}
