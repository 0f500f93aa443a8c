"""Makes scaled.safetensors: matrices as transformers' FP8, compressed-tensors and MLX keep them in model folders, and their values by them.

    pip install torch==2.13.0 transformers==5.24.0 compressed-tensors==0.20.1 mlx[cpu]==0.32.4 && python make_scaled.py

NAME.weight and what lies beside it are the parts as the tools write them; NAME.expected its values, float32.
"""
from types import SimpleNamespace

import mlx.core as mx
import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize, Fp8Quantize

torch.manual_seed(11)
ROWS, COLUMNS = 24, 128
matrix = torch.randn(ROWS, COLUMNS) * 0.05
matrix[3, 64:] = 0
matrix[5] *= 1e-3  # below the normal numbers of 8 bits, beside others in its block
tensors = {}

for name, block, dtype in [("fp8_block", (8, 32), torch.float32), ("fp8_half", (24, 64), torch.bfloat16), ("fp8_all", None, torch.bfloat16)]:
    quantizer = SimpleNamespace(quantization_config=SimpleNamespace(weight_block_size=block, scale_fmt="float"))
    parts = Fp8Quantize(quantizer)._quantize_one("weight", matrix)
    scale = parts["weight_scale_inv"].to(dtype)
    tensors[f"{name}.weight"] = parts["weight"]
    tensors[f"{name}.weight_scale_inv"] = scale if block else scale.reshape(())
    tensors[f"{name}.expected"] = Fp8Dequantize(quantizer)._dequantize_one(parts["weight"], scale, torch.float32)
# Every code, without a scale but 1.
every = torch.arange(256, dtype=torch.uint8).reshape(32, 8)
every[15, 7] = every[31, 7] = 0  # no numbers
tensors["fp8_every.weight"] = every.view(torch.float8_e4m3fn)
tensors["fp8_every.weight_scale"] = torch.ones(1)
tensors["fp8_every.expected"] = tensors["fp8_every.weight"].float()


def compressed(name, format, weight, dtype=torch.bfloat16, **settings):
    """A matrix by the tool's own compressor, with scales of the range of each part."""
    args = QuantizationArgs(**settings)
    if args.strategy == "block":
        height, width = args.block_structure
        pad = torch.nn.functional.pad(weight, (0, -weight.shape[1] % width, 0, -weight.shape[0] % height))
        parts = pad.unflatten(1, (-1, width)).unflatten(0, (-1, height)).permute(0, 2, 1, 3).flatten(2)
    else:
        parts = weight.reshape({"tensor": (1, 1, -1), "channel": (len(weight), 1, -1), "group": (len(weight), -1, args.group_size or 1)}[args.strategy])
    scale, zero = calculate_qparams(parts.amin(-1).float(), parts.amax(-1).float(), args)
    if args.strategy == "tensor":
        scale, zero = scale.reshape(1), zero.reshape(1)
    scale = scale.to(dtype)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    tool = BaseCompressor.get_value_from_registry(format)
    # In float32, so that the tool does not round the values to the type of the scales.
    state = {"weight": weight, "weight_scale": scale.float(), "weight_zero_point": zero.to(torch.int8) if args.type == "int" else zero}
    state = tool.compress(state, scheme)
    values = tool.decompress(dict(state), scheme)["weight"]
    state["weight_scale"] = scale
    for key, value in state.items():
        tensors[f"{name}.{key}"] = value
    assert values.dtype == torch.float32 and (values - weight).abs().max() < scale.max() * (1 if args.type == "int" else 40)
    tensors[f"{name}.expected"] = values


whole, grouped = dict(num_bits=4, type="int"), dict(num_bits=4, type="int", strategy="group", group_size=32)
compressed("pack4", "pack-quantized", matrix, **grouped)
compressed("pack4_zeros", "pack-quantized", matrix, symmetric=False, **grouped)
compressed("pack3", "pack-quantized", matrix[:, :40].contiguous(), num_bits=3, type="int", strategy="group", group_size=8, symmetric=False, dtype=torch.float16)
compressed("pack4_rows", "pack-quantized", matrix, strategy="channel", **whole)
compressed("pack8", "pack-quantized", matrix, num_bits=8, type="int", strategy="channel", dtype=torch.float32)
compressed("int8", "int-quantized", matrix, num_bits=8, type="int", strategy="channel")
compressed("int8_zeros", "int-quantized", matrix, num_bits=8, type="int", strategy="channel", symmetric=False)
compressed("int8_all", "int-quantized", matrix, num_bits=8, type="int", strategy="tensor")
compressed("float_rows", "float-quantized", matrix, num_bits=8, type="float", strategy="channel")
compressed("float_all", "float-quantized", matrix, num_bits=8, type="float", strategy="tensor")
compressed("float_block", "float-quantized", matrix, num_bits=8, type="float", strategy="block", block_structure=[16, 48])

for bits, dtype, group in [(2, mx.bfloat16, 64), (3, mx.float16, 32), (5, mx.bfloat16, 32), (6, mx.bfloat16, 64), (8, mx.bfloat16, 64), (8, mx.float16, 32)]:
    name = f"mlx{bits}" + ("_half" if dtype == mx.float16 else "")
    parts = mx.quantize(mx.array(matrix.numpy()).astype(dtype), group_size=group, bits=bits)
    words, scales, biases = (torch.from_numpy(np.array(part.view(mx.uint16) if part.dtype == dtype else part)) for part in parts)
    kind = {mx.bfloat16: torch.bfloat16, mx.float16: torch.float16}[dtype]
    scales, biases = scales.view(kind), biases.view(kind)
    tensors[f"{name}.weight"], tensors[f"{name}.scales"], tensors[f"{name}.biases"] = words, scales, biases
    # In float32 by MLX itself, whose own type rounds the result.
    wide = [mx.array(part.float().numpy()) for part in (scales, biases)]
    tensors[f"{name}.expected"] = torch.from_numpy(np.array(mx.dequantize(parts[0], *wide, group, bits)))

save_file({key: value.contiguous() for key, value in tensors.items()}, "scaled.safetensors")
for key, value in tensors.items():
    print(key, value.dtype, list(value.shape))
