"""Adapters of peft that train single rows of the embedding beside LoRA, on the tiny models of ../models, and their logits.

    python -B make.py --models ../models --out .       # torch 2.13.0+cpu, transformers 5.24.0, peft 0.21.2
"""
import argparse
import json
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROWS = [3, 17, 40]
# A base with a head of its own, one whose head is its embedding, and both with other rows of the head.
ADAPTERS = {
    "own-head": ("llama", {"embed_tokens": ROWS}),
    "tied-head": ("qwen2", ROWS),
    "both": ("llama", {"embed_tokens": ROWS, "lm_head": [5, 40]}),
    "both-tied": ("qwen2", {"lm_head": [5, 40], "embed_tokens": ROWS}),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logits, batches = {}, {}
    for name, (model, indices) in ADAPTERS.items():
        torch.manual_seed(2026)
        base = AutoModelForCausalLM.from_pretrained(args.models / model, attn_implementation="eager", dtype=torch.float32)
        print(name, "tied" if base.config.tie_word_embeddings else "not tied")
        config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], trainable_token_indices=indices, task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(base, config)
        for key, p in adapted.named_parameters():
            if p.requires_grad:
                p.data.add_(0.3 * torch.randn_like(p))
        ids = torch.randint(3, base.config.vocab_size, (2, 10))
        ids[0, 2:5] = torch.tensor(ROWS)
        with torch.no_grad():
            logits[name] = adapted.eval()(input_ids=ids).logits
        adapted.save_pretrained(args.out / name)
        batches[name] = {"model": model, "ids": ids.tolist()}
    save_file(logits, args.out / "logits.safetensors")
    (args.out / "batches.json").write_text(json.dumps(batches) + "\n")


main()
