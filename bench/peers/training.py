"""What the PEFT scripts share: loading a model with an adapter, and a plain training loop that reports every step."""

import argparse
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM


def arguments() -> argparse.ArgumentParser:
    """Flags of every training script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--checkpointing", action="store_true")
    return parser


def load(options: argparse.Namespace) -> torch.nn.Module:
    """The model in f32 with the saved adapter, ready to train."""
    if options.threads:
        torch.set_num_threads(options.threads)
    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
    model = PeftModel.from_pretrained(base, options.adapter, is_trainable=True)
    if options.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return model.train()


def fresh_adapter(model: str, rank: int, seed: int, folder: str) -> None:
    """Saves a LoRA start whose B is not zero, so that the first loss depends on the adapter too."""
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(base, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.005)
    adapted.save_pretrained(folder)


def emit(**event: object) -> None:
    print(json.dumps(event), flush=True)


def train(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], learning_rate: float) -> None:
    """One AdamW step a batch, without decay or clipping. Prints an event before the first and after each."""
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0.0
    )
    emit(event="start", threads=torch.get_num_threads())
    for step, batch in enumerate(batches, start=1):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        trained = int((batch["labels"][:, 1:] != -100).sum())
        emit(event="step", step=step, loss=loss.item(), tokens=trained)
    emit(event="done", steps=len(batches))
