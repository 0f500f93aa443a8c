"""Makes raw.json: random bytes as ggml blocks, with scales that are numbers, and their values, by the gguf package (0.19.0).

    pip install gguf==0.19.0 && python make_raw.py > raw.json
"""
import base64, json
import numpy as np
from gguf import GGMLQuantizationType as T, GGML_QUANT_SIZES
from gguf.quants import dequantize

b64 = lambda a: base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()
# Where the 16-bit floats of a block begin.
halves = {
    "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0],
}
random = np.random.default_rng(11)
shape = (3, 512)
cases = []
for name, offsets in halves.items():
    size, num_bytes = GGML_QUANT_SIZES[T[name]]
    num_blocks = shape[0] * shape[1] // size
    raw = random.integers(0, 256, size=(num_blocks, num_bytes), dtype=np.uint8)
    for offset in offsets:
        scale = (random.normal(size=num_blocks) * 0.01).astype(np.float16)
        scale[:3] = [2.0**-24, -0.0, 1000]  # the least, none, a large one
        raw[:, offset : offset + 2] = scale.view(np.uint8).reshape(num_blocks, 2)
    raw = raw.reshape(shape[0], -1)
    values = dequantize(raw, T[name]).astype("<f4")
    cases.append({"storage": name.lower(), "shape": shape, "raw": b64(raw), "values": b64(values)})
print(json.dumps({"recipe": "gguf 0.19.0, numpy %s, seed 11: python make_raw.py > raw.json" % np.__version__, "cases": cases}, indent=1))
