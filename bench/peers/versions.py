"""Prints the versions of the Python side as one JSON object."""

import json
import platform

import peft
import torch
import transformers

print(
    json.dumps(
        {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "peft": peft.__version__,
            "transformers": transformers.__version__,
        }
    )
)
