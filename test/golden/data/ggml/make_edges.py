"""Makes edges.json: values at the edges of rounding and the raw ggml blocks they become, by the gguf package (0.19.0).

    pip install gguf==0.19.0 && python make_edges.py > edges.json
"""
import base64, json
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import quantize

b64 = lambda a: base64.b64encode(np.ascontiguousarray(a).tobytes()).decode()
n = np.arange(32, dtype=np.float32)
rows = {
    "zeros": n * 0,
    "one value": n * 0 + np.float32(0.7),
    "one negative value": n * 0 - np.float32(0.3),
    "positive": n + 3,
    "negative": -n - 3,
    "largest twice, plus first": np.where(n == 3, 8, np.where(n == 9, -8, n / 8)),
    "largest twice, minus first": np.where(n == 3, -8, np.where(n == 9, 8, n / 8)),
    "halves of 127": np.where(n == 0, 127, n - 16.5),
    "halves of 8": np.where(n == 0, -8, (n - 16) / 2),
    "halves of 15": np.where(n == 0, 0, np.where(n == 1, 15, n / 2 - 0.5)),
    "halves of 16": np.where(n == 0, -16, n / 2 - 7.75),
    "halves of 31": np.where(n == 0, 0, np.where(n == 1, 31, n - 0.5)),
    "scale below float16's normal numbers": (n - 16) * 1e-6,
    "an outlier": np.where(n == 5, 300, np.sin(n)),
}
values = np.stack(list(rows.values())).astype(np.float32)
cases = {t.lower(): b64(quantize(values, T[t])) for t in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]}
print(json.dumps({"recipe": "gguf 0.19.0, numpy %s: python make_edges.py > edges.json" % np.__version__, "rows": list(rows), "shape": list(values.shape), "raw": cases}, indent=1))
