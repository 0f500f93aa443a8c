"""Writes after prompts one after another with peft, each with its own adapter: set_adapter, then generate. peft_swap.py TASK.

TASK is a JSON file: {"model", "adapters": folders, "prompts": rows of token ids, "tokens", "threads"}; prompt i has adapter i.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def emit(**event: object) -> None:
    print(json.dumps(event), flush=True)


def main() -> None:
    with open(sys.argv[1], encoding="utf8") as file:
        task = json.load(file)
    torch.set_num_threads(task["threads"])
    base = AutoModelForCausalLM.from_pretrained(task["model"], dtype=torch.float32, attn_implementation="sdpa")
    model = None
    for index, folder in enumerate(task["adapters"]):
        if model is None:
            model = PeftModel.from_pretrained(base, folder, adapter_name=f"adapter{index}", low_cpu_mem_usage=True)
        else:
            model.load_adapter(folder, adapter_name=f"adapter{index}", low_cpu_mem_usage=True)
    model.eval()
    # No text ends before its last token.
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0

    def write(index: int, tokens: int) -> list[int]:
        model.set_adapter(f"adapter{index}")
        ids = torch.tensor([task["prompts"][index]])
        with torch.inference_mode():
            whole = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                use_cache=True,
            )
        return whole[0, ids.shape[1] :].tolist()

    write(0, 2)
    emit(event="start", threads=torch.get_num_threads())
    texts = [write(index, task["tokens"]) for index in range(len(task["prompts"]))]
    emit(event="end", texts=texts)


main()
