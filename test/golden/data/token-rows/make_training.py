"""Losses, gradients and three steps of AdamW of single rows of the embedding and the head, beside LoRA and alone (peft), on the tiny models of ../models.

    python -B make_training.py --models ../models --out .       # torch 2.13.0+cpu, transformers 5.24.0, peft 0.21.2
"""
import argparse
import json
from pathlib import Path

import peft
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

ROWS = [17, 3, 40]
TARGETS = {"gpt2": ["c_attn"]}
# Heads of their own and tied ones, an embedding that is scaled, learned positions; then rows of the head, with and without others
# of the embedding.
BOTH = {"embed_tokens": ROWS, "lm_head": [5, 40]}
HEAD = {"lm_head": [40, 3, 5]}
CASES = {
    **{model: (model, ROWS) for model in ["llama", "llama-linear", "gemma", "gemma3_text", "gpt2", "qwen3"]},
    "llama-both": ("llama", BOTH),
    "llama-head": ("llama", HEAD),
    "gemma-both": ("gemma", BOTH),
    "qwen3-head": ("qwen3", HEAD),
}
# Rows and nothing else: of an embedding, which a tied head follows; of both tables; of a tied head alone.
ALONE = {
    **{f"alone-{model}": (model, None) for model in ["llama", "gemma3_text", "gpt2", "qwen3"]},
    "alone-llama-both": ("llama", ["embed_tokens", "lm_head"]),
    "alone-qwen3-head": ("qwen3", ["lm_head"]),
}
PREFIX = "base_model.model."


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = args.out / "training" / "golden.json"
    golden = json.loads(file.read_text()) if args.only else {}
    for name, (model, rows) in {**CASES, **ALONE}.items():
        if not name.startswith(args.only):
            continue
        torch.manual_seed(2026)
        base = AutoModelForCausalLM.from_pretrained(args.models / model, attn_implementation="eager", dtype=torch.float32)
        if name in ALONE:
            config = peft.TrainableTokensConfig(token_indices=ROWS, target_modules=rows, task_type="CAUSAL_LM")
        else:
            modules = TARGETS.get(model, ["q_proj", "v_proj"])
            config = peft.LoraConfig(r=2, target_modules=modules, trainable_token_indices=rows, task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(base, config)
        trained = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
        for p in trained.values():
            p.data.add_(0.3 * torch.randn_like(p))
        folder = args.out / "training" / name
        adapted.save_pretrained(folder)
        batch = make_batch(base.config.vocab_size)
        tensors, losses = {}, []
        optimizer = torch.optim.AdamW(trained.values(), lr=0.01, weight_decay=0.1)
        adapted.train()
        for step in range(3):
            out = adapted(**{key: torch.tensor(value) for key, value in batch.items()})
            optimizer.zero_grad()
            out.loss.backward()
            losses.append(out.loss.item())
            if step == 0:
                tensors["logits"] = out.logits.detach()
                tensors |= {f"grad.{saved_name(n)}": p.grad.clone() for n, p in trained.items()}
            optimizer.step()
        tensors |= {f"final.{saved_name(n)}": p.detach().clone() for n, p in trained.items()}
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "golden.safetensors")
        golden[name] = {"model": model, "tied": base.config.tie_word_embeddings, "batch": batch, "losses": losses}
        print(name, losses)
    file.write_text(json.dumps(golden) + "\n")


def saved_name(name):
    name = name.removeprefix(PREFIX).replace(".default", "")
    return name if "token_adapter" in name else name.replace("trainable_tokens_delta", "token_adapter.trainable_tokens_delta")


def make_batch(vocab_size):
    """Three rows of unlike lengths, with the trained tokens among what is read and among what is learned."""
    ids = torch.randint(3, vocab_size, (3, 12))
    ids[0, 2:5] = torch.tensor(ROWS)
    ids[1, 7], ids[2, 1] = ROWS[0], ROWS[2]
    mask = torch.ones_like(ids)
    mask[1, 9:], mask[2, 5:] = 0, 0
    ids[mask == 0] = 0
    labels = ids.clone()
    labels[mask == 0] = -100
    labels[0, :3] = -100
    return {"input_ids": ids.tolist(), "attention_mask": mask.tolist(), "labels": labels.tolist()}


main()
