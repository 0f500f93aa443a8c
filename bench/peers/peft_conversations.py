"""One epoch of PEFT and PyTorch over conversations: chat template, loss on what the assistant writes, batches padded
to their longest example, full logits. Order of the file; examples longer than --length are cut."""

import json

import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from training import arguments, emit, load, train

IGNORED = -100


def encode(tokenizer: PreTrainedTokenizerBase, messages: list[dict], length: int) -> tuple[list[int], list[int]]:
    """Ids, and labels that are ids inside an assistant's content and end mark, else IGNORED."""

    def render(upto: int, ask: bool) -> str:
        return tokenizer.apply_chat_template(messages[:upto], tokenize=False, add_generation_prompt=ask)

    text = render(len(messages), False)
    spans = [
        (len(render(i, True)), len(render(i + 1, False).rstrip()))
        for i, message in enumerate(messages)
        if message["role"] == "assistant"
    ]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    labels = [
        token if any(start <= at < end for start, end in spans) else IGNORED
        for token, (at, _) in zip(encoded["input_ids"], encoded["offset_mapping"])
    ]
    return encoded["input_ids"][:length], labels[:length]


def collate(examples: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """Pads a batch on the right to its longest example."""
    longest = max(len(ids) for ids, _ in examples)
    fill = lambda values, value: values + [value] * (longest - len(values))  # noqa: E731
    return {
        "input_ids": torch.tensor([fill(ids, pad) for ids, _ in examples]),
        "labels": torch.tensor([fill(labels, IGNORED) for _, labels in examples]),
        "attention_mask": torch.tensor([fill([1] * len(ids), 0) for ids, _ in examples]),
    }


def main() -> None:
    parser = arguments()
    parser.add_argument("--examples", type=int, default=0, help="only the first N; 0: all")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    with open(options.data, encoding="utf8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    encoded = [encode(tokenizer, row["messages"], options.length) for row in rows[: options.examples or None]]
    kept = [e for e in encoded if any(label != IGNORED for label in e[1][1:])]
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    groups = [kept[i : i + options.batch] for i in range(0, len(kept), options.batch)]
    batches = [collate(group, pad) for group in groups]
    lengths = [len(ids) for ids, _ in kept]
    padded = sum(batch["input_ids"].numel() for batch in batches)
    emit(event="data", examples=len(kept), tokens=sum(lengths), longest=max(lengths), padded_tokens=padded)
    train(load(options), batches, options.learning_rate)


main()
