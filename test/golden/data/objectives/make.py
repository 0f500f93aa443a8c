"""Makes the folder's other files: losses of comparisons on ../models/llama with a random LoRA adapter.

    Python 3.11.7, torch 2.13.0+cpu, transformers 5.24.0, peft 0.21.2, safetensors 0.8.0
    python -B make.py      # one thread, CPU, float32, eager attention, eval mode, seed 2026

The formulas are written here once more, from the papers, with PyTorch's derivatives. check_trl.py holds them against TRL.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
EOS = 2


def open_model():
    torch.set_num_threads(1)
    torch.manual_seed(2026)
    base = AutoModelForCausalLM.from_pretrained(HERE.parent / "models" / "llama", attn_implementation="eager", dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.normal_(0, 0.3)
    return model


def draw(length):
    return torch.randint(3, 96, (length,)).tolist()


def sequences():
    """Pairs and judged answers; completions end in eos, prompts and completions differ in length."""
    pairs, judged = [], []
    for group, (prompt, chosen, rejected) in enumerate([(5, 4, 6), (2, 7, 3), (9, 1, 2), (4, 3, 3)]):
        ids = draw(prompt)
        for role, length in [("chosen", chosen), ("rejected", rejected)]:
            pairs.append(dict(ids=ids + draw(length) + [EOS], promptLength=prompt, role=role, group=group))
    for group, (prompt, length, good) in enumerate([(3, 5, True), (6, 2, False), (4, 4, True), (2, 3, True), (7, 1, False)]):
        judged.append(dict(ids=draw(prompt) + draw(length) + [EOS], promptLength=prompt, role="desirable" if good else "undesirable", group=group))
    return pairs, judged


def mismatch(judged):
    """Each prompt with the completion of the one before."""
    return [{**one, "ids": one["ids"][: one["promptLength"]] + judged[i - 1]["ids"][judged[i - 1]["promptLength"] :], "role": "mismatched"} for i, one in enumerate(judged)]


def log_probs(model, some):
    """Log-probabilities of all completion tokens, one sequence after another."""
    parts = []
    for one in some:
        ids = torch.tensor([one["ids"]])
        rows = F.log_softmax(model(ids).logits[0, :-1], dim=-1).gather(1, ids[0, 1:, None])[:, 0]
        parts.append(rows[one["promptLength"] - 1 :])
    return parts


def preference(policy, reference, some):
    pick = lambda parts, role: [parts[i] for i, one in enumerate(some) if one["role"] == role]
    return pick(policy, "chosen"), pick(policy, "rejected"), pick(reference, "chosen"), pick(reference, "rejected")


sums = lambda parts: torch.stack([part.sum() for part in parts])
means = lambda parts: torch.stack([part.mean() for part in parts])


def pair_metrics(chosen, rejected, chosen_logps, rejected_logps):
    return {
        "rewards/chosen": chosen.mean(), "rewards/rejected": rejected.mean(), "rewards/accuracies": (chosen > rejected).double().mean(),
        "rewards/margins": (chosen - rejected).mean(), "logps/chosen": chosen_logps.mean(), "logps/rejected": rejected_logps.mean(),
    }


def dpo(policy, reference, some, _, beta=0.1, labelSmoothing=0.0, lossType="sigmoid"):
    c, r, c0, r0 = preference(policy, reference, some)
    h = (sums(c) - sums(c0)) - (sums(r) - sums(r0))
    if lossType == "sigmoid":
        losses = -(1 - labelSmoothing) * F.logsigmoid(beta * h) - labelSmoothing * F.logsigmoid(-beta * h)
    elif lossType == "hinge":
        losses = torch.clamp(1 - beta * h, min=0)
    else:
        losses = ((means(c) - means(c0)) - (means(r) - means(r0)) - 1 / (2 * beta)) ** 2
    return losses.mean(), pair_metrics(beta * (sums(c) - sums(c0)), beta * (sums(r) - sums(r0)), sums(c), sums(r))


def orpo(policy, reference, some, _, beta=0.1):
    c, r, _, _ = preference(policy, reference, some)
    log_odds = lambda mean: mean - torch.log(1 - torch.exp(mean))
    margin = log_odds(means(c)) - log_odds(means(r))
    nll = -torch.cat(c).mean()
    loss = nll - beta * F.logsigmoid(margin).mean()
    metrics = pair_metrics(beta * means(c), beta * means(r), means(c), means(r))
    return loss, {**metrics, "nll_loss": nll, "log_odds_ratio": F.logsigmoid(margin).mean(), "log_odds_chosen": margin.mean()}


def kto(policy, reference, some, kl, beta=0.1, desirableWeight=1.0, undesirableWeight=1.0):
    good = torch.tensor([one["role"] == "desirable" for one in some])
    ratio = sums(policy) - sums(reference)
    losses = torch.where(good, desirableWeight * (1 - torch.sigmoid(beta * (ratio - kl))), undesirableWeight * (1 - torch.sigmoid(beta * (kl - ratio))))
    rewards, logps = beta * ratio, sums(policy)
    metrics = {
        "rewards/chosen": rewards[good].mean(), "rewards/rejected": rewards[~good].mean(), "rewards/margins": rewards[good].mean() - rewards[~good].mean(),
        "logps/chosen": logps[good].mean(), "logps/rejected": logps[~good].mean(), "kl": kl,
    }
    return losses.mean(), metrics


CASES = [
    ("dpo", dpo, dict()), ("dpo-smooth", dpo, dict(beta=0.4, labelSmoothing=0.2)), ("dpo-hinge", dpo, dict(beta=0.5, lossType="hinge")), ("dpo-ipo", dpo, dict(beta=0.3, lossType="ipo")),
    ("orpo", orpo, dict()), ("orpo-strong", orpo, dict(beta=0.7)),
    ("kto", kto, dict()), ("kto-weights", kto, dict(beta=0.5, desirableWeight=1.3, undesirableWeight=0.6)),
]


def run(model, some, others, formula, options):
    with torch.no_grad(), model.disable_adapter():
        reference, others_reference = log_probs(model, some), log_probs(model, others)
    with torch.no_grad():
        others_policy = log_probs(model, others)
        kl = (sums(others_policy) - sums(others_reference)).mean().clamp(min=0) if others else torch.tensor(0.0)
    model.zero_grad()
    policy = log_probs(model, some)
    loss, _ = formula(policy, reference, some, kl, **options)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
    # Once more from these log-probabilities alone, in float64.
    wide = lambda parts: [part.detach().double() for part in parts]
    leaves = [part.requires_grad_() for part in wide(policy)]
    kl64 = (sums(wide(others_policy)) - sums(wide(others_reference))).mean().clamp(min=0) if others else torch.tensor(0.0).double()
    exact, metrics = formula(leaves, wide(reference), some, kl64, **options)
    exact.backward()
    flat = lambda parts: torch.cat(parts).tolist() if parts else []
    return gradients, {
        "options": options, "sequences": some, "logProbs": flat(policy), "reference": flat(reference), "mismatched": others,
        "mismatchedLogProbs": flat(others_policy), "mismatchedReference": flat(others_reference), "loss": exact.item(), "loss_float32": loss.item(),
        "gradient": torch.cat([leaf.grad for leaf in leaves]).tolist(), "metrics": {key: value.item() for key, value in metrics.items()},
    }


def means_of_losses():
    """Weighted tokens and classes: nothing of a model but its logits."""
    torch.manual_seed(1)
    logits, labels = torch.randn(7, 11).double().requires_grad_(), torch.randint(0, 11, (7,))
    made = {}
    for name, objective, weights in [("cross-entropy", "cross-entropy", torch.ones(7)), ("cross-entropy-weights", "cross-entropy", torch.tensor([1, 0.5, 2, 1, 0.25, 1, 3])), ("classification", "classification", torch.ones(7))]:
        rows = F.log_softmax(logits, -1).gather(1, labels[:, None])[:, 0].detach().float().double().requires_grad_()
        loss = -(weights * rows).sum() / weights.sum()
        plain = F.cross_entropy(logits, labels, reduction="none")
        assert abs(((weights * plain).sum() / weights.sum() - loss).item()) < 1e-6
        (gradient,) = torch.autograd.grad(loss, rows)
        made[name] = {"objective": objective, "options": {}, "logProbs": rows.tolist(), "weights": weights.tolist(), "loss": loss.item(), "gradient": gradient.tolist()}
    return made


def main():
    model = open_model()
    model.peft_config["default"].base_model_name_or_path = "graft-tiny/llama"
    model.peft_config["default"].target_modules = ["q_proj", "v_proj"]
    model.save_pretrained(HERE / "adapter")
    (HERE / "adapter" / "README.md").unlink(missing_ok=True)
    pairs, judged = sequences()
    golden, tensors = means_of_losses(), {}
    for name, formula, options in CASES:
        some, others = (judged, mismatch(judged)) if formula is kto else (pairs, [])
        gradients, case = run(model, some, others, formula, options)
        golden[name] = {"objective": formula.__name__, **case}
        for key, value in gradients.items():
            tensors[f"{name}.{key.replace('.default', '')}"] = value.contiguous()
        print(name, case["loss"], case["metrics"])
    save_file(tensors, HERE / "golden.safetensors")
    (HERE / "golden.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
