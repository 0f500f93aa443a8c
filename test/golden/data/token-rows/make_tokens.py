"""Adapters of peft's own type for rows of single tokens (TRAINABLE_TOKENS), on the tiny models of ../models, and their logits.

    python -B make_tokens.py --models ../models --out .       # torch 2.13.0+cpu, transformers 5.24.0, peft 0.21.2
"""
import argparse
import json
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROWS = [17, 3, 40]
# By default the embedding, whose rows a tied head has too; then a head of its own beside it, and a tied one alone.
ADAPTERS = {
    "own": ("llama", None),
    "tied": ("qwen3", None),
    "both": ("llama", ["embed_tokens", "lm_head"]),
    "head-tied": ("qwen3", ["lm_head"]),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logits, batches = {}, {}
    for name, (model, targets) in ADAPTERS.items():
        torch.manual_seed(2026)
        base = AutoModelForCausalLM.from_pretrained(args.models / model, attn_implementation="eager", dtype=torch.float32)
        config = peft.TrainableTokensConfig(token_indices=ROWS, target_modules=targets, task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(base, config)
        for key, p in adapted.named_parameters():
            if p.requires_grad:
                p.data.add_(0.3 * torch.randn_like(p))
        ids = torch.randint(3, base.config.vocab_size, (2, 10))
        ids[0, 2:5] = torch.tensor(ROWS)
        with torch.no_grad():
            logits[name] = adapted.eval()(input_ids=ids).logits
        adapted.save_pretrained(args.out / "tokens" / name)
        batches[name] = {"model": model, "ids": ids.tolist()}
    save_file(logits, args.out / "tokens" / "logits.safetensors")
    (args.out / "tokens" / "batches.json").write_text(json.dumps(batches) + "\n")


main()
