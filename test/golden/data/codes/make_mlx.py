"""Makes mlx-NAME/: random models as mlx-lm writes them in 4 bits, routers in 8, and the logits of mlx-lm.

    pip install mlx[cpu]==0.32.4 mlx-lm==0.32.2 && python make_mlx.py
"""
import json
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_map
from mlx_lm.models import granitemoehybrid, lfm2_moe, qwen3_5, qwen3_moe
from mlx_lm.utils import quantize_model, save_config, save_model

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 96,
    "max_position_embeddings": 128,
}
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2, "norm_topk_prob": True, "rope_theta": 5000.0}
MODELS = {
    "qwen3_moe": (
        qwen3_moe,
        SIZES
        | EXPERTS
        | {"head_dim": 32, "decoder_sparse_step": 1, "mlp_only_layers": [1], "rms_norm_eps": 1e-6, "tie_word_embeddings": False},
    ),
    # Its matrices have other names there, and factors of convolutions lie the other way.
    "lfm2_moe": (
        lfm2_moe,
        SIZES
        | EXPERTS
        | {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1, "use_expert_bias": True, "conv_bias": False, "conv_L_cache": 3}
        | {"norm_eps": 1e-5},
    ),
    # Its projection of gate and up is split there, and factors of convolutions lie the other way.
    "granitemoehybrid": (
        granitemoehybrid,
        SIZES
        | {"shared_intermediate_size": 96, "num_local_experts": 0, "layer_types": ["mamba", "attention"], "position_embedding_type": "nope"}
        | {"mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_n_groups": 1, "mamba_conv_bias": True}
        | {"mamba_proj_bias": False, "attention_bias": False, "mlp_bias": False, "rms_norm_eps": 1e-6, "rope_theta": 5000.0}
        | {"embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.5, "logits_scaling": 2.0, "tie_word_embeddings": True},
    ),
    # Without experts; norms have 1 more there, and factors of convolutions lie the other way.
    "qwen3_5": (
        qwen3_5,
        {
            "text_config": SIZES
            | {"head_dim": 32, "linear_num_key_heads": 1, "linear_num_value_heads": 2, "linear_key_head_dim": 32, "linear_value_head_dim": 32}
            | {"full_attention_interval": 2, "rms_norm_eps": 1e-6, "tie_word_embeddings": False}
            | {"rope_parameters": {"rope_type": "default", "type": "default", "rope_theta": 5000.0, "partial_rotary_factor": 0.5}},
        },
    ),
}
IDS = [5, 9, 33, 17, 64, 2, 90, 11, 47]


def bits_of(path, module):
    """As `mlx_lm.convert` for models with experts."""
    if not hasattr(module, "to_quantized"):
        return False
    return {"group_size": 64, "bits": 8} if path.endswith((".mlp.gate", ".feed_forward.gate")) else True


def drawn(p):
    return mx.random.normal(p.shape) * p[0].size ** -0.5 if p.ndim > 1 else 1 + 0.2 * mx.random.normal(p.shape)


for name, (family, own) in MODELS.items():
    out = Path(__file__).parent / f"mlx-{name}"
    out.mkdir(exist_ok=True)
    mx.random.seed(3)
    settings = {"model_type": name, **own}
    model = family.Model(family.ModelArgs.from_dict(settings))
    model.update(tree_map(drawn, model.parameters()))
    model.set_dtype(mx.bfloat16)
    model, config = quantize_model(model, {**settings, "torch_dtype": "bfloat16"}, group_size=32, bits=4, quant_predicate=bits_of)
    save_model(out, model)
    (out / "model.safetensors.index.json").unlink()
    save_config(config, out / "config.json")
    model.set_dtype(mx.float32)  # scales too: nothing is rounded on the way
    (out / "logits.json").write_text(json.dumps({"ids": IDS, "logits": model(mx.array([IDS]))[0].tolist()}) + "\n")
