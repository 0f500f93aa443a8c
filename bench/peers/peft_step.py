"""Trains a LoRA adapter with PEFT and PyTorch on the first tokens of a text, in order: --steps batches of --batch windows."""

import torch
from transformers import AutoTokenizer

from training import arguments, load, train


def main() -> None:
    parser = arguments()
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    with open(options.data, encoding="utf8") as file:
        ids = tokenizer(file.read(), add_special_tokens=False, verbose=False)["input_ids"]
    needed = options.steps * options.batch * options.length
    if len(ids) < needed:
        raise SystemExit(f"Cannot train: the text has {len(ids)} tokens, expected {needed}")
    windows = torch.tensor(ids[:needed]).view(options.steps, options.batch, options.length)
    train(load(options), [{"input_ids": w, "labels": w} for w in windows], options.learning_rate)


main()
