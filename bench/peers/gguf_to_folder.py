"""Writes a GGUF model as a Hugging Face folder in f32: gguf_to_folder.py FILE.gguf FOLDER."""

import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(path: str, folder: str) -> None:
    source, name = os.path.split(os.path.abspath(path))
    loaded = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.float32)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are widened now
    # A fresh model of the same class: one loaded from GGUF refuses to be saved.
    plain = type(loaded)(config).float()
    plain.load_state_dict(loaded.state_dict())
    plain.tie_weights()
    plain.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(folder)


main(*sys.argv[1:])
