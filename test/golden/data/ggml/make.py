"""Makes blocks.json: raw ggml blocks and their values, by the gguf package (0.19.0), numpy 2.4.6, seed 7.

    pip install gguf==0.19.0 && python make.py > blocks.json
"""
import base64, json
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

b64 = lambda a: base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()
values = np.random.default_rng(7).normal(size=(6, 64)).astype(np.float32) * np.float32(0.3)
cases = []
for name in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]:
    raw = quantize(values, T[name])
    cases.append({"storage": name.lower(), "shape": [6, 64], "raw": b64(raw), "values": b64(dequantize(raw, T[name]).astype("<f4"))})
print(json.dumps({"recipe": "gguf 0.19.0, numpy 2.4.6, seed 7: python make.py > blocks.json", "cases": cases}, indent=1))
