"""Holds golden.json against TRL's own trainers: loss, metrics, and the gradient of every LoRA tensor.

    trl 1.16.0, beside what make.py names
    python -B check_trl.py     # one line a comparison; status 1 if one is further apart than 2e-5

Label smoothing is in none of TRL's plain losses (its `robust` is another formula), and TRL's ORPO learns the prompts as
well, so there only its odds ratio and what follows from it are compared.
"""
import json
import sys
import tempfile

import torch
from datasets import Dataset
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.experimental.orpo import ORPOTrainer

from make import HERE, open_model

tokens = Tokenizer(models.WordLevel({**{f"t{i}": i for i in range(96) if i not in (0, 2)}, "<pad>": 0, "<eos>": 2}, unk_token="<pad>"))
tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokens, pad_token="<pad>", eos_token="<eos>")
text = lambda ids: " ".join(f"t{i}" for i in ids)
golden = json.loads((HERE / "golden.json").read_text())
expected = load_file(HERE / "golden.safetensors")
worst = 0.0


def say(case, what, difference):
    global worst
    worst = max(worst, difference)
    print(f"{case} {what} {difference:.1e}")


def compare(name, trainer, case, metrics):
    """The trainer's loss on one batch of everything, in eval mode, as the goldens have it."""
    trainer.model.delete_adapter("ref")  # TRL's copy of the adapter as it starts; here the reference is the base alone
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    say(name, "loss", abs(loss.item() - case["loss"]))
    found = trainer._metrics["eval"]
    for key in metrics:
        say(name, key, abs(found[key][-1] - case["metrics"][key]))
    gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.requires_grad}
    for key, gradient in gradients.items():
        wanted = expected[f"{name}.{key.replace('.default', '')}"]
        say(name, key, ((gradient - wanted).abs().max() / wanted.abs().max()).item())


def settings(folder, size, **more):
    return dict(output_dir=folder, per_device_train_batch_size=size, use_cpu=True, report_to=[], gradient_checkpointing=False, bf16=False, **more)


with tempfile.TemporaryDirectory() as folder:
    for name, case in golden.items():
        options, some = case["options"], case.get("sequences", [])
        if case["objective"] == "dpo" and "labelSmoothing" not in options:
            prompts = [text(one["ids"][: one["promptLength"]]) for one in some]
            answers = [" " + text(one["ids"][one["promptLength"] : -1]) for one in some]
            rows = Dataset.from_list([dict(prompt=prompts[i], chosen=answers[i], rejected=answers[i + 1]) for i in range(0, len(some), 2)])
            arguments = DPOConfig(beta=options.get("beta", 0.1), loss_type=[options.get("lossType", "sigmoid")], **settings(folder, len(rows)))
            trainer = DPOTrainer(model=open_model(), args=arguments, train_dataset=rows, processing_class=tokenizer)
            compare(name, trainer, case, list(case["metrics"]))
        if case["objective"] == "kto":
            rows = Dataset.from_list([dict(prompt=text(one["ids"][: one["promptLength"]]), completion=" " + text(one["ids"][one["promptLength"] : -1]), label=one["role"] == "desirable") for one in some])
            weights = dict(desirable_weight=options.get("desirableWeight", 1.0), undesirable_weight=options.get("undesirableWeight", 1.0))
            arguments = KTOConfig(beta=options.get("beta", 0.1), **weights, **settings(folder, len(rows), train_sampling_strategy="sequential"))
            trainer = KTOTrainer(model=open_model(), args=arguments, train_dataset=rows, processing_class=tokenizer)
            compare(name, trainer, case, list(case["metrics"]))
        if case["objective"] == "orpo":
            trainer = ORPOTrainer.__new__(ORPOTrainer)
            trainer.beta, trainer.accelerator = options.get("beta", 0.1), type("Here", (), {"device": "cpu"})
            parts = torch.tensor(case["logProbs"]).split([len(one["ids"]) - one["promptLength"] for one in some])
            means = torch.stack([part.mean() for part in parts])
            losses, chosen, rejected, ratio, odds = trainer.odds_ratio_loss(means[::2], means[1::2])
            say(name, "loss", abs(case["metrics"]["nll_loss"] - losses.mean().item() - case["loss"]))
            for key, value in {"rewards/chosen": chosen.mean(), "rewards/rejected": rejected.mean(), "log_odds_ratio": ratio, "log_odds_chosen": odds}.items():
                say(name, key, abs(value.item() - case["metrics"][key]))
print(f"largest {worst:.1e}")
sys.exit(worst > 2e-5)
