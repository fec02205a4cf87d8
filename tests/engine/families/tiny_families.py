"""Tiny models, one for each way in which attention keeps its past: the config.json of each, and nothing else.

Sizes are small and deliberately uneven (5 layers, 7 layers, 3 heads of 80), so that rounding, padding and grouping
show. `KNOWN` are families of architectures that the memory model knows, `UNKNOWN` such that it must refuse by name.
"""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]

_MODEL: Config = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _model(architecture: str, model_type: str, **more: Any) -> Config:
    return {**_MODEL, "architectures": [architecture], "model_type": model_type, **more}


def _llama(**more: Any) -> Config:
    return _model("LlamaForCausalLM", "llama", **{"head_dim": 64, **more})


def _gemma(architecture: str, model_type: str, layers: int, window: int, **more: Any) -> Config:
    gemma = {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 64,
        "tie_word_embeddings": True,
    }
    sizes = {"head_dim": 64, "num_hidden_layers": layers, "sliding_window": window}
    return _model(architecture, model_type, **gemma, **sizes, **more)


def _gemma3(layers: int, window: int = 512) -> Config:
    kinds = ["full_attention" if index % 6 == 5 else "sliding_attention" for index in range(layers)]
    return _gemma("Gemma3ForCausalLM", "gemma3_text", layers, window, layer_types=kinds)


def _gemma4(kinds: str, **more: Any) -> Config:
    """`kinds` names the layers: s for sliding, f for full attention, whose heads are of another size."""
    names = {"s": "sliding_attention", "f": "full_attention"}
    rope = {
        "full_attention": {"partial_rotary_factor": 0.25, "rope_theta": 1e6, "rope_type": "proportional"},
        "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"},
    }
    text = {
        "attention_k_eq_v": False,
        "enable_moe_block": False,
        "global_head_dim": 128,
        "head_dim": 64,
        "hidden_size_per_layer_input": 0,
        "layer_types": [names[kind] for kind in kinds],
        "num_kv_shared_layers": 0,
        "rope_parameters": rope,
        "sliding_window": 512,
        "vocab_size_per_layer_input": 512,
        "tie_word_embeddings": True,
        **more,
    }
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "patch_size": 16,
        "pooling_kernel_size": 3,
        "position_embedding_size": 64,
        "rms_norm_eps": 1e-6,
    }
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
        "text_config": {**_model("Gemma4ForCausalLM", "gemma4_text", num_hidden_layers=len(kinds)), **text},
        "vision_config": vision,
    }


def _mla(architecture: str, model_type: str, **more: Any) -> Config:
    latent = {
        "kv_lora_rank": 512,
        "q_lora_rank": None,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "num_key_value_heads": 8,
    }
    experts = {
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 64,
        "moe_layer_freq": 1,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "greedy",
        "scoring_func": "softmax",
        "norm_topk_prob": False,
        "routed_scaling_factor": 1.0,
    }
    return _model(architecture, model_type, **{"num_hidden_layers": 5, **latent, **experts, **more})


def _nemotron_h(pattern: str, **more: Any) -> Config:
    """`pattern` names the layers: M for mamba, * for attention, - for a plain feed-forward part."""
    mamba = {
        "conv_kernel": 4,
        "mamba_head_dim": 32,
        "mamba_num_heads": 8,
        "n_groups": 2,
        "ssm_state_size": 64,
        "chunk_size": 128,
        "expand": 4,
        "mamba_hidden_act": "silu",
        "mlp_hidden_act": "relu2",
        "layer_norm_epsilon": 1e-5,
    }
    sizes = {"num_hidden_layers": len(pattern), "head_dim": 64}
    return _model(
        "NemotronHForCausalLM", "nemotron_h", hybrid_override_pattern=pattern, **sizes, **mamba, **more
    )


def _qwen35(layers: int, **more: Any) -> Config:
    kinds = ["full_attention" if index % 4 == 3 else "linear_attention" for index in range(layers)]
    text = {
        **_model("Qwen3_5ForCausalLM", "qwen3_5_text", num_hidden_layers=layers, head_dim=64),
        "layer_types": kinds,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 32,
        "linear_num_key_heads": 4,
        "linear_num_value_heads": 8,
        "linear_value_head_dim": 32,
        "mamba_ssm_dtype": "float32",
        "full_attention_interval": 4,
        "attn_output_gate": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e7,
            "partial_rotary_factor": 0.25,
            "mrope_section": [2, 3, 3],
        },
        **more,
    }
    vision = {
        "model_type": "qwen3_5",
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 2,
        "in_channels": 3,
        "out_hidden_size": 64,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [],
    }
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "text_config": text,
        "vision_config": vision,
        "tie_word_embeddings": False,
        "image_token_id": 500,
        "video_token_id": 501,
        "vision_start_token_id": 502,
        "vision_end_token_id": 503,
    }


def _llama4(layers: int, chunk: int = 512) -> Config:
    text = {
        **_model("Llama4ForCausalLM", "llama4_text", num_hidden_layers=layers, head_dim=64),
        "attention_chunk_size": chunk,
        "intermediate_size_mlp": 128,
        "interleave_moe_layer_step": 1,
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "no_rope_layers": [int((index + 1) % 4 != 0) for index in range(layers)],
        "use_qk_norm": True,
        "rope_scaling": None,
    }
    vision = {
        "model_type": "llama4_vision_model",
        "hidden_size": 64,
        "image_size": 56,
        "intermediate_size": 128,
        "num_attention_heads": 2,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 14,
        "pixel_shuffle_ratio": 0.5,
        "projector_input_dim": 64,
        "projector_output_dim": 64,
        "vision_output_dim": 64,
    }
    return {
        "architectures": ["Llama4ForConditionalGeneration"],
        "model_type": "llama4",
        "text_config": text,
        "vision_config": vision,
        "tie_word_embeddings": False,
    }


_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "decoder_sparse_step": 1}
_MIXTRAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
_LFM = ["conv", "conv", "full_attention", "conv", "full_attention"]

KNOWN: dict[str, Config] = {
    "multi-head": _llama(num_key_value_heads=8),
    "grouped-query": _llama(),
    "multi-query": _llama(num_key_value_heads=1),
    "head size of its own": _llama(num_attention_heads=4, head_dim=80, num_hidden_layers=5),
    "tied embeddings": _model("Qwen2ForCausalLM", "qwen2", num_attention_heads=2, tie_word_embeddings=True),
    "normed heads": _model("Qwen3ForCausalLM", "qwen3", head_dim=128),
    "granite": _model(
        "GraniteForCausalLM",
        "granite",
        num_attention_heads=2,
        attention_multiplier=1.0,
        embedding_multiplier=1.0,
        residual_multiplier=1.0,
        logits_scaling=1.0,
    ),
    "phi-2": _model(
        "PhiForCausalLM",
        "phi",
        num_attention_heads=2,
        num_key_value_heads=2,
        partial_rotary_factor=0.5,
        layer_norm_eps=1e-5,
    ),
    "phi-3": _model("Phi3ForCausalLM", "phi3", num_attention_heads=2, sliding_window=None),
    "gemma": _model(
        "GemmaForCausalLM", "gemma", head_dim=256, hidden_activation="gelu", tie_word_embeddings=True
    ),
    "window in every layer": _model("MistralForCausalLM", "mistral", head_dim=64, sliding_window=1024),
    "gemma-2": _gemma("Gemma2ForCausalLM", "gemma2", 5, 1000),
    "gemma-3, one global layer": _gemma3(7),
    "gemma-3, two global layers": _gemma3(13, window=1024),
    "gemma-3, narrow window": _gemma3(12, window=64),
    "gemma-4": _gemma4("sssssfsssssf"),
    "gemma-4, shared layers": _gemma4("ssfssfssfssf", num_kv_shared_layers=6),
    "gpt-oss": _model(
        "GptOssForCausalLM",
        "gpt_oss",
        head_dim=64,
        num_hidden_layers=6,
        sliding_window=128,
        layer_types=["sliding_attention", "full_attention"] * 3,
        **_MIXTRAL,
    ),
    "chunked (llama 4)": _llama4(4),
    "chunked (llama 4), uneven": _llama4(7, chunk=1000),
    "mixtral": _model(
        "MixtralForCausalLM", "mixtral", num_attention_heads=2, sliding_window=None, **_MIXTRAL
    ),
    "qwen-2 moe": _model(
        "Qwen2MoeForCausalLM",
        "qwen2_moe",
        num_attention_heads=2,
        shared_expert_intermediate_size=128,
        **_EXPERTS,
    ),
    "qwen-3 moe": _model("Qwen3MoeForCausalLM", "qwen3_moe", head_dim=128, **_EXPERTS),
    "deepseek-v2": _mla("DeepseekV2ForCausalLM", "deepseek_v2"),
    "deepseek-v3": _mla("DeepseekV3ForCausalLM", "deepseek_v3", q_lora_rank=48, num_hidden_layers=3),
    "nemotron-h": _nemotron_h("M-M*M-M*M-M*", mamba_ssm_cache_dtype="float32"),
    "nemotron-h, states in its own type": _nemotron_h("MM*M*-*MM", mamba_ssm_cache_dtype="bfloat16"),
    "nemotron-h, states of unstated type": _nemotron_h("M*-*M*"),
    "qwen-3.5": _qwen35(12),
    "qwen-3.5, uneven": _qwen35(13, mamba_ssm_dtype="bfloat16"),
}

UNKNOWN: dict[str, Config] = {
    "qwen-3 next": _model(
        "Qwen3NextForCausalLM",
        "qwen3_next",
        head_dim=64,
        num_hidden_layers=8,
        linear_conv_kernel_dim=4,
        linear_key_head_dim=32,
        linear_num_key_heads=4,
        linear_num_value_heads=8,
        linear_value_head_dim=32,
        full_attention_interval=4,
        shared_expert_intermediate_size=64,
        **_EXPERTS,
    ),
    "jamba": _model(
        "JambaForCausalLM",
        "jamba",
        num_attention_heads=2,
        num_hidden_layers=8,
        attn_layer_period=4,
        attn_layer_offset=2,
        expert_layer_period=2,
        expert_layer_offset=1,
        num_experts=4,
        num_experts_per_tok=2,
        mamba_d_state=16,
        mamba_d_conv=4,
        mamba_expand=2,
        mamba_dt_rank=8,
        use_mamba_kernels=False,
    ),
    "bamba": _model(
        "BambaForCausalLM",
        "bamba",
        num_attention_heads=2,
        num_hidden_layers=4,
        attn_layer_indices=[2],
        mamba_d_conv=4,
        mamba_d_head=32,
        mamba_d_state=32,
        mamba_expand=2,
        mamba_n_groups=1,
        mamba_n_heads=4,
        mamba_chunk_size=128,
    ),
    "granite-4 hybrid": _model(
        "GraniteMoeHybridForCausalLM",
        "granitemoehybrid",
        num_attention_heads=2,
        num_hidden_layers=4,
        layer_types=["mamba", "mamba", "attention", "mamba"],
        mamba_d_conv=4,
        mamba_d_head=32,
        mamba_d_state=32,
        mamba_expand=2,
        mamba_n_groups=1,
        mamba_n_heads=4,
        mamba_chunk_size=128,
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=64,
        attention_multiplier=1.0,
        embedding_multiplier=1.0,
        residual_multiplier=1.0,
        logits_scaling=1.0,
        position_embedding_type="nope",
    ),
    "falcon-h1": _model(
        "FalconH1ForCausalLM",
        "falcon_h1",
        num_attention_heads=2,
        mamba_d_conv=4,
        mamba_d_head=32,
        mamba_d_ssm=128,
        mamba_d_state=32,
        mamba_n_groups=1,
        mamba_n_heads=4,
        mamba_chunk_size=128,
    ),
    "lfm-2": _model(
        "Lfm2ForCausalLM",
        "lfm2",
        num_attention_heads=2,
        num_hidden_layers=5,
        layer_types=_LFM,
        conv_L_cache=3,
        conv_bias=False,
        conv_dim=64,
        block_dim=64,
        block_auto_adjust_ff_dim=False,
        block_ff_dim=128,
        block_multiple_of=32,
        block_ffn_dim_multiplier=1.0,
        norm_eps=1e-5,
    ),
    "mamba-2": {
        "architectures": ["Mamba2ForCausalLM"],
        "model_type": "mamba2",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "vocab_size": 512,
        "conv_kernel": 4,
        "expand": 2,
        "head_dim": 32,
        "num_heads": 4,
        "n_groups": 1,
        "state_size": 32,
        "torch_dtype": "bfloat16",
        "tie_word_embeddings": False,
    },
}
