/** @file docs/storage.md: forms in which weights are stored, and how products of them are computed. */
import { page } from "./page.ts";
import { baseKinds, computeTable, storageTable } from "./tables.ts";

/** The folders in codes that are read, and how they are held. */
const CODES_TABLE = [
  "| `quant_method` | read | held as |",
  "| --- | --- | --- |",
  "| `gptq` | 2, 3, 4 and 8 bits; PEQA tunes their scales, and `merge` writes them again ([PEQA](peqa.md#gptqs-folders)) | `u2` to `u8` |",
  "| `awq` | 4 bits, version gemm, with zeros | `u4` |",
  "| `bitsandbytes`, as transformers and Unsloth save it | 4 bits of nf4 in blocks of 64, with scales in float32 or quantized themselves (a float32 for each: 4.5 bits a weight) | `nf4` |",
  "| | 8 bits with a scale a row | `u8` |",
  "| none: MLX's (`mlx_lm.convert -q`), each matrix as the settings say of it, experts in stacks | 4 bits | `q4_1` |",
  "| | 2, 3, 5, 6 and 8 bits; codes of 5 and 6 lie in a byte each | `m2`, `m3`, `m8` |",
  "| `fp8`, of Qwen, Mistral, DeepSeek's tools and AutoFP8 | `F8_E4M3` with a scale for each block (`weight_block_size`) or one for all | `f8_e4m3` |",
  "| `mxfp4`, of gpt-oss | experts in 4-bit floats; read from the file when they are used, and not held | `mxfp4` |",
  "| `compressed-tensors`, of llm-compressor | `float-quantized`: `F8_E4M3` with a scale for all, each row or each block | `f8_e4m3` |",
  "| | `pack-quantized` of 2, 3, 4 and 8 bits and `int-quantized`, by groups, rows or as a whole, with zeros or without | `u2` to `u8` |",
].join("\n");

/** The text of the page. */
export function storagePage(): string {
  return page(
    "How weights are stored",
    "The base model stays in its file, a folder or a GGUF file, and one block at a time is read and dequantized to float32 while the one before runs; the system's cache of files makes that cheap. Codes of model folders, of graft's own form or GPTQ's ([PEQA](peqa.md)), AWQ's, bitsandbytes', MLX's, FP8 or compressed-tensors' ([below](#folders-in-codes)), are held in memory as they are. Trained numbers are always float32.",
    storageTable(),
    "Rows of a quantized embedding are looked up in this form, and a quantized output head is dequantized some rows at a time, so that neither is ever in float32 as a whole; tables of floats are, up to 256 MB.",
    "## A base in few bits",
    `\`--base\` of \`train\`, \`eval\`, \`classify\`, \`generate\`, \`chat\`, \`serve\`, \`worker\` and \`fisher\` rounds a base of floats when it is loaded: ${baseKinds()}. Each matrix of the blocks is read and rounded some rows at a time when it is first used, and stays in memory so; embedding and output head are rounded to \`q8_0\`, because their errors reach every token. Norms, biases, routers, heads of classes and matrices whose rows do not fill blocks of the kind stay as they are. \`nf4\` holds the values of QLoRA (arXiv:2305.14314) without its second rounding, of the scales.`,
    "Adapters of every method can be trained on such a base, for every objective and family, but for those that train the matrices themselves (full) or codes of their own (PEQA). The folder says to what its base was rounded: give the same `--base` to whatever uses it, and what runs is what was trained; else a warning tells the difference. `graft merge` adds to the base as its files keep it, and `graft merge --dtype` rounds the sum. A GGUF file in few bits is used as it is, without `--base`, and nothing of it is held in memory.",
    "## Folders in codes",
    "Folders that other tools have quantized are bases as well, for adapters of every method, and stay in few bits in memory:",
    CODES_TABLE,
    "Values are those of the tools, bit for bit (in float32, where a tool rounds them to its scales' type), but for bitsandbytes' scales of 8 bits (2e-7), sums of MLX that it rounds twice, and scales of its 4 bits below float16's normal numbers. What is multiplied with them is not rounded, whatever settings say of activations. With MLX's 4 bits all arithmetics below multiply as with such a GGUF file. Other variants, such as `fp4`, NVFP4, `mxfp4` of MLX and llm-compressor, sparse or rotated weights, inputs in another order, layouts of one kernel and wider scales of MLX (`--dtype bfloat16` avoids them), are refused by name, and where settings tell, before weights are fetched. `merge` writes all but GPTQ's in floats, or as a GGUF file.",
    "## How products are computed",
    "A file keeps a weight in one form; programs may multiply with it in another. `--compute` of `train`, `eval`, `classify`, `generate`, `chat`, `serve`, `worker` and `fisher` chooses the arithmetic of products inside blocks with frozen weights, that of `export` all but int8 for the files that it writes. In int8 and direct it is also that of the output head, if it has a vocabulary and nothing in it is trained. Embedding, attention scores and what an adapter adds are in float32.",
    computeTable(),
    "### int8",
    "int8 is for training and for reading. Whole numbers of 8 bits multiply two to three times as fast as floats on processors with instructions for them (AVX-512 VNNI, AVX-VNNI). On x86 processors without them sums of signed products overflow, which a try at the first program finds: there both sides are unsigned, with the same results, 1.3 to 1.5 times as fast as floats on a Zen 3. Other processors may be slower; before training graft tries one product and warns of what it costs there.",
    "Weights are rounded once and held in two layouts, 2 bytes a weight, whatever `--weights` says. Each row of activations and of gradients is rounded with a scale of its own, and the rounded gradient stands for that of the model as it is computed. In the head the part of a gradient that comes from the label is exact. Probabilities are rounded up or down in turn from row to row: thousands of them are less than half a code each, and would vanish if rounded to the nearest. Held-out losses after 20 LoRA steps were within 0.63 % of float32's on three texts, five seeds each ([log.md](log.md#8-bit-products)).",
    "A few channels of activations are much larger than the rest of their row, which shares their scale. So `train` first runs one micro-batch, the first, through the base in float32. From its largest activations and weights it finds a factor for each channel, as [SmoothQuant](https://arxiv.org/abs/2211.10438) does: what a product reads is multiplied by the factor, and its weights are divided by it before they are rounded. The factors follow from base, data and seed, so a resumed run finds the same. `eval` and `fisher` take the first four examples; `generate` and `chat`, which have none, use no factors. Nor do inputs of experts, since it is not known beforehand how many tokens they get.",
    "### w4",
    "w4 is for writing one token after another: a quarter of the memory is read for each. Tensors of 4-bit blocks of 32 (q4_0, q4_1) keep their values. All others, transposed matrices among them, are rounded as q4_0 rounds, and so are weights into which an adapter was merged. A matrix whose rows do not fill blocks of 32 and the router of experts stay in float32. Prompts take longer to read than in float32.",
    "### direct",
    "direct is for writing and serving from a quantized file. A matrix is multiplied by its own codes, none of which is rounded: those of 4 bits (q4_0, q4_1, q4_k) in 4 bits, those of q8_0, q5_0, q5_1, q2_k, q3_k, q5_k, q6_k, iq4_nl and iq4_xs in 8, with the scale and, where a kind has a minimum, the offset of each block in float32. Activations are rounded to 8 bits. f32, f16, bf16, mxfp4, nf4, codes of model folders and transposed matrices have no such blocks and are rounded as q8_0 rounds. The output head is multiplied in the same way.",
    "Where four or more texts are written at once, or 32 tokens of a prompt are read at a time, the whole numbers of int8 take over, smoothed by a short text of graft's own, which is read in float32 when they are first needed. All codes are then rounded once more, those of the head too where four texts or more have a token drawn, except one column in 48 of `down_proj`, which is multiplied in float32. So what is written may depend on how many texts are written beside it.",
    "`auto`, the default of `generate`, `chat` and `serve`, is direct for a base whose matrices have such codes, else f32. A server with `--state` writes in that arithmetic and trains on the same base in f32, unless `--train-compute` names another.",
    "### What is kept",
    "What direct and w4 make of a GGUF file is kept when a model that wrote text is closed, under `operands/` in [graft's cache](../README.md#when-something-does-not-work). Later runs map it instead of making it anew. It takes some 1.1 times the size of the file, and 4 GB at most for all files; those that were not used for the longest go first. It belongs to that very file, so a file that was written or copied anew is read anew, and each tensor has a checksum. `GRAFT_OPERANDS=off` keeps and takes nothing, and the folder may be deleted at any time. Windows, where graft maps no files, and Node before 20.15 keep none.",
  );
}
