"""Makes the folder's other files: a random tiny ViT, three images with labels, logits, loss and every gradient.

    Python 3.11.7, torch 2.13.0+cpu, transformers 5.24.0, safetensors 0.8.0
    python -B make.py OUT      # one thread, CPU, float32, eager attention, eval mode, seed 2026
"""
import json, os, shutil, sys, tempfile
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification

out = sys.argv[1]
torch.set_num_threads(1)
torch.manual_seed(2026)
config = ViTConfig(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, image_size=8, patch_size=4,
    num_channels=2, layer_norm_eps=1e-12, hidden_act="gelu", qkv_bias=True, num_labels=5,
    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager",
)
model = ViTForImageClassification(config).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        if p.ndim == 1:
            p.normal_(1.0 if "layernorm" in name and name.endswith("weight") else 0.0, 0.2)
        elif name.endswith("position_embeddings") or name.endswith("cls_token"):
            p.normal_(0.0, 0.5)
        else:
            p.normal_(0.0, p[0].numel() ** -0.5)

pixels = torch.randn(3, 2, 8, 8)
labels = torch.tensor([4, 0, 2])


def run(m, x):
    m.zero_grad()
    result = m(pixel_values=x, labels=labels)
    result.loss.backward()
    return result.loss.item(), result.logits.detach(), {n: p.grad.clone() for n, p in m.named_parameters()}


def named_as_saved(m, tensors):
    """Tensors under the names of a saved model, which are not those of the modules."""
    with tempfile.TemporaryDirectory() as folder:
        state = {n: p.data for n, p in m.named_parameters()}
        for n, p in m.named_parameters():
            p.data = tensors[n]
        m.save_pretrained(folder)
        for n, p in m.named_parameters():
            p.data = state[n]
        return load_file(f"{folder}/model.safetensors")


os.makedirs(out, exist_ok=True)
loss, logits, grads = run(model, pixels)
with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)
    for name in ["config.json", "model.safetensors"]:
        shutil.copyfile(f"{folder}/{name}", f"{out}/{name}")
saved = {f"grad.{n}": g.contiguous() for n, g in named_as_saved(model, grads).items()}
save_file({"pixels": pixels, "logits": logits, **saved}, f"{out}/golden.safetensors")

double = ViTForImageClassification(config).eval().double()
double.load_state_dict({n: t.double() for n, t in model.state_dict().items()})
loss64, logits64, grads64 = run(double, pixels.double())
# A bias of the keys adds the same to all scores of a query, which the softmax takes out again.
vanishing = [n for n in grads if n.endswith("k_proj.bias")]
assert all(grads64[n].abs().max() < 1e-7 for n in vanishing)
relative = lambda a, b: ((a - b).abs().max() / b.abs().max()).item()
golden = {
    "labels": labels.tolist(),
    "loss": loss,
    "loss_float64": loss64,
    "float32_vs_float64": {
        "loss": abs(loss - loss64),
        "logits": (logits - logits64).abs().max().item(),
        "grad_relative": max(relative(grads[n].double(), grads64[n]) for n in grads if n not in vanishing),
        "grad_absolute_where_it_vanishes": max(grads[n].abs().max().item() for n in vanishing),
    },
}
with open(f"{out}/golden.json", "w") as file:
    file.write(json.dumps(golden, indent=1) + "\n")
