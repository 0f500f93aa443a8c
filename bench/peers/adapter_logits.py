"""Loads adapter folders with peft and compares its logits with those that graft computed: adapter_logits.py TASK.

TASK is a JSON file: {"ids": rows of token ids, "cases": [{"name", "model", "adapter", "logits"}]}, where "logits" is a
file of little-endian float32 [rows, tokens, vocabulary], or [rows, classes], and "adapter" is null for the model alone. Prints an object a case.
"""

import json
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import torch
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

# Warnings of one library about another, which no folder can help.
OF_PROGRAMS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def compare(case: dict, ids: torch.Tensor) -> dict:
    """Largest difference of the logits, what peft warned about, and tensors of the file that it had no use for."""
    architecture = AutoConfig.from_pretrained(case["model"]).architectures[0]
    is_classifier = architecture.endswith("ForSequenceClassification")
    kind = AutoModelForSequenceClassification if is_classifier else AutoModelForCausalLM
    model = kind.from_pretrained(
        case["model"], dtype=torch.float32, attn_implementation="eager"
    )
    unused: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if case["adapter"] is not None:
            model = PeftModel.from_pretrained(model, case["adapter"])
            # What from_pretrained does once more: it keeps the surplus keys to itself.
            result = set_peft_model_state_dict(model, load_peft_weights(case["adapter"], device="cpu"))
            unused = list(result.unexpected_keys)
        with torch.no_grad():
            logits = model.eval()(input_ids=ids).logits.numpy()
    expected = numpy.fromfile(case["logits"], dtype="<f4").reshape(logits.shape)
    return {
        "difference": float(numpy.abs(logits - expected).max()),
        "largest": float(numpy.abs(logits).max()),
        "unused": unused,
        "warnings": sorted({str(w.message) for w in caught if not issubclass(w.category, OF_PROGRAMS)}),
    }


def main() -> None:
    torch.set_num_threads(1)
    with open(sys.argv[1], encoding="utf8") as file:
        task = json.load(file)
    ids = torch.tensor(task["ids"])
    for case in task["cases"]:
        try:
            answer = compare(case, ids)
        except Exception as error:  # noqa: BLE001 -- a folder that does not load is an answer, not the end
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"name": case["name"], **answer}), flush=True)


main()
