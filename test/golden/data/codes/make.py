"""Makes codes.safetensors: a matrices of 128 columns as bitsandbytes, AutoAWQ and MLX keep them in model folders, and their values by them.

    pip install bitsandbytes==0.50.2 mlx[cpu]==0.32.4 safetensors && python make.py AUTOAWQ_SOURCES     (autoawq 0.2.9, its sources alone)

NAME.weight and what lies beside it are the parts as the tools write them; NAME.expected its values, float32.
"""
import importlib.util, sys
import torch
from bitsandbytes import functional as bnb
from safetensors.torch import save_file

torch.manual_seed(7)
ROWS, COLUMNS, GROUP = 24, 128, 32
matrix = torch.randn(ROWS, COLUMNS) * 0.05
matrix[3, 64:] = 0  # a block of zeros
tensors = {}

# More than the 256 blocks whose scales share one.
larger = torch.randn(136, COLUMNS) * 0.05
for name, values, is_nested in [("plain", matrix, False), ("nested", larger, True)]:
    codes, state = bnb.quantize_4bit(values, quant_type="nf4", compress_statistics=is_nested)
    tensors[f"{name}.weight"] = codes
    for key, value in state.as_dict(packed=True).items():
        tensors[f"{name}.weight.{key}"] = value
    tensors[f"{name}.expected"] = bnb.dequantize_4bit(codes, state).float()

codes, scale, _ = bnb.int8_vectorwise_quant(matrix.half())
tensors["eight.weight"] = codes
tensors["eight.SCB"] = scale
tensors["eight.weight_format"] = torch.tensor(0, dtype=torch.uint8)
tensors["eight.expected"] = codes.float() * scale[:, None] / 127

spec = importlib.util.spec_from_file_location("packing", f"{sys.argv[1]}/awq/utils/packing_utils.py")
packing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(packing)
# As WQLinear_GEMM.from_linear packs: nibble j of a word is column AWQ_ORDER[j] of eight.
groups = matrix.reshape(ROWS, COLUMNS // GROUP, GROUP)
low, high = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
scales = ((high - low) / 15).clamp(min=1e-5).half()
zeros = (-low / scales.float()).round().clamp(0, 15).int()
q = (groups / scales.float()[:, :, None] + zeros[:, :, None]).round().clamp(0, 15).int().reshape(ROWS, COLUMNS)


def pack(lines):
    words = torch.zeros(lines.shape[0], lines.shape[1] // 8, dtype=torch.int32)
    for j, column in enumerate(packing.AWQ_ORDER):
        words |= lines[:, column::8] << (4 * j)
    return words


tensors["awq.qweight"], tensors["awq.qzeros"] = pack(q.T.contiguous()), pack(zeros.T.contiguous())
tensors["awq.scales"] = scales.T.contiguous()
codes, zeros = packing.reverse_awq_order(*packing.unpack_awq(tensors["awq.qweight"], tensors["awq.qzeros"], 4), 4)
codes, zeros, scales = codes & 15, (zeros & 15).repeat_interleave(GROUP, 0), scales.T.float().repeat_interleave(GROUP, 0)
tensors["awq.expected"] = ((codes - zeros) * scales).T
# MLX, in halves of both kinds.
import mlx.core as mx
import numpy as np

for name, dtype, group in [("mlx", mx.bfloat16, 64), ("mlx_half", mx.float16, 32)]:
    parts = mx.quantize(mx.array(matrix.numpy()).astype(dtype), group_size=group, bits=4)
    words, scales, biases = (torch.from_numpy(np.array(part.view(mx.uint16) if part.dtype == dtype else part)) for part in parts)
    kind = {mx.bfloat16: torch.bfloat16, mx.float16: torch.float16}[dtype]
    scales, biases = scales.view(kind), biases.view(kind)
    tensors[f"{name}.weight"], tensors[f"{name}.scales"], tensors[f"{name}.biases"] = words, scales, biases
    codes = torch.stack([words.to(torch.int64) >> 4 * j & 15 for j in range(8)], 2).reshape(ROWS, COLUMNS)
    each = lambda part: part.float().repeat_interleave(group, 1)
    tensors[f"{name}.expected"] = codes * each(scales) + each(biases)
    assert np.allclose(np.array(mx.dequantize(*parts, group, 4).astype(mx.float32)), tensors[f"{name}.expected"], atol=2e-3)
save_file({key: value.contiguous() for key, value in tensors.items()}, "codes.safetensors")
for key, value in tensors.items():
    print(key, value.dtype, list(value.shape))
