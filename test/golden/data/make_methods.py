"""Adapters of peft on models of models/, with the numbers of transformers and peft: logits, loss, gradients, merged weights.

    Python 3.11.7, torch 2.13.0+cpu, transformers 5.24.0, peft 0.21.2, safetensors 0.8.0
    python -B make_methods.py [NAME...]      # writes methods/MODEL/NAME; one thread, CPU, float32, eager attention, eval mode, seed 2026
"""
import json
import sys
import tempfile
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

MODELS = Path(__file__).parent / "models"
CASES = {
    # Routers and whole stacks of experts, as peft names them by itself: twice the rank where two matrices share one.
    "olmoe/lora-parameters": {"r": 3, "lora_alpha": 5, "target_modules": "all-linear"},
    "mixtral/lora-parameters": {"r": 2, "lora_alpha": 3, "target_modules": "all-linear"},
    "qwen3_moe/lora-parameters": {
        "r": 4,
        "lora_alpha": 6,
        "use_rslora": True,
        "target_modules": ["q_proj"],
        "target_parameters": ["1.mlp.experts.gate_up_proj", "0.mlp.experts.down_proj"],
        "alpha_pattern": {"down_proj": 9},
    },
}


def name_of(key, wrapper_names):
    """The name of a parameter of an adapter, where a wrapper of a stack is named after the stack."""
    module, _, rest = key.rpartition(".lora_")
    inner, dot, adapter_free = rest.partition(".")
    own = wrapper_names.get(module)
    path = module if own is None else f"{module.replace('.base_layer', '')}.{own}"
    return f"{path}.lora_{inner}.{adapter_free.removeprefix('default.')}"


def saved_tensors(model):
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def main(out, names):
    torch.set_num_threads(1)
    for name in names:
        folder = out / name
        source = MODELS / name.split("/")[0]
        batch = json.loads((source / "golden.json").read_text())["batch"]
        batch = {key: torch.tensor(value) for key, value in batch.items()}
        torch.manual_seed(2026)
        base = transformers.AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager", dtype=torch.float32)
        model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", **CASES[name])).eval()
        trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
        for p in trained.values():
            p.data.normal_(0, 0.2)
        wrappers = {
            key: module.parameter_name
            for key, module in model.named_modules()
            if type(module).__name__ == "ParamWrapper" and module.num_experts > 1
        }
        result = model(**batch)
        result.loss.backward()
        tensors = {"logits": result.logits} | {f"grad.{name_of(key, wrappers)}": p.grad for key, p in trained.items()}
        model.save_pretrained(folder / "adapter")
        (folder / "adapter/README.md").unlink()
        path = folder / "adapter/adapter_config.json"
        config = json.loads(path.read_text()) | {"base_model_name_or_path": f"graft-tiny/{source.name}"}
        config = {key: sorted(value) if isinstance(value, list) else value for key, value in config.items()}
        path.write_text(json.dumps(config, indent=2) + "\n")
        merged = model.merge_and_unload()
        before = load_file(source / "model.safetensors")
        changed = {key: value for key, value in saved_tensors(merged).items() if not torch.equal(value, before[key])}
        tensors |= {f"merged.{key}": value for key, value in changed.items()}
        with torch.no_grad():
            tensors["merged_logits"] = merged(**batch).logits
        save_file({key: value.detach().contiguous() for key, value in tensors.items()}, folder / "golden.safetensors")
        versions = {"transformers": transformers.__version__, "peft": peft.__version__, "torch": torch.__version__}
        golden = {"batch": {key: value.tolist() for key, value in batch.items()}, "loss": result.loss.item(), "versions": versions}
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")


main(Path(__file__).parent / "methods", sys.argv[1:] or CASES)
