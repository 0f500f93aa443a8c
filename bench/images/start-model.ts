/** @file Writes a small Vision Transformer that knows nothing yet, as a model folder. */
import { openModel } from "../../src/models/families.ts";
import type { TensorSpec } from "../../src/models/graphs/sites.ts";
import { writeModel } from "../../src/format/by-path.ts";
import { Random } from "../../src/random.ts";
import { type HostTensor, hostTensor } from "../../src/runtime/host-tensor.ts";
import { numElements } from "../../src/graph/shape.ts";

/** Sizes of the model. */
export interface StartSizes {
  /** Height and width of the images. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly classes: readonly string[];
}

/** Writes a model folder with weights that are 0.02 wide, as the first ViT's: factors of norms 1, biases 0. */
export async function writeStartModel(folder: string, sizes: StartSizes, seed: number): Promise<void> {
  const config = {
    architectures: ["ViTForImageClassification"],
    model_type: "vit",
    hidden_size: sizes.width,
    intermediate_size: 2 * sizes.width,
    num_hidden_layers: sizes.numLayers,
    num_attention_heads: sizes.numHeads,
    hidden_act: "gelu",
    layer_norm_eps: 1e-6,
    image_size: sizes.imageSize,
    patch_size: sizes.patchSize,
    num_channels: 1,
    qkv_bias: true,
    id2label: Object.fromEntries(sizes.classes.map((name, i) => [i, name])),
    label2id: Object.fromEntries(sizes.classes.map((name, i) => [name, i])),
  };
  const random = new Random(seed);
  const draw = ({ name, shape }: TensorSpec): HostTensor => {
    const values = new Float32Array(numElements(shape));
    if (/layernorm\w*\.weight$/.test(name)) values.fill(1);
    else if (!name.endsWith(".bias")) values.forEach((_, i) => (values[i] = 0.02 * random.normal()));
    return hostTensor("float32", shape, values);
  };
  const tensors = [...openModel(config).tensors.values()].map((spec) => [spec.name, draw(spec)] as const);
  await writeModel(folder, { config, generationConfig: null, tokenizerFiles: null, tensors });
}
