"""Bytes of quantized matrices, and which modules of a checkpoint are quantized."""

from __future__ import annotations

import pytest

from infra.errors import SizingError
from infra.memory.config import Config
from infra.memory.quantization.plan import patterns
from infra.memory.quantization.reading import read_plan
from infra.memory.quantization.schemes import FP8_ROWS, FP8_TENSOR, INT8_ROWS, MXFP4, NF4, NVFP4, Scheme

# a matrix of 4096 x 14336 = 58,720,256 weights
SIZES = [
    (FP8_TENSOR, 58_720_256),
    (FP8_ROWS, 58_720_256 + 4096 * 4),
    (INT8_ROWS, 58_720_256 + 4096 * 4),
    (Scheme("blocks", 8, block=128, scale_bytes=4), 58_720_256 + 32 * 112 * 4),
    (Scheme("awq", 4, group=128, scale_bytes=2, zero_point=True), 29_360_128 + 458_752 * 2 + 458_752 // 2),
    (Scheme("gptq", 4, group=32, scale_bytes=2), 29_360_128 + 1_835_008 * 2),
    (NVFP4, 29_360_128 + 58_720_256 // 16),
    (MXFP4, 29_360_128 + 58_720_256 // 32),
    (NF4, 29_360_128 + 58_720_256 // 64 * 4),
]


@pytest.mark.parametrize(("scheme", "size"), SIZES, ids=lambda value: getattr(value, "name", ""))
def test_a_matrix_takes_its_weights_and_its_scales(scheme, size):
    assert scheme.matrix_bytes(4096, 14336) == size


def test_scales_of_a_part_of_a_block_or_group_count_whole():
    assert Scheme("blocks", 8, block=128, scale_bytes=4).matrix_bytes(130, 130) == 130 * 130 + 2 * 2 * 4
    assert MXFP4.matrix_bytes(1, 33) == -(-33 * 4 // 8) + 2


LISTED = [
    ("lm_head", "lm_head", True),
    ("model.layers.0.self_attn", "model.layers.0.self_attn.q_proj", True),
    ("model.layers.1", "model.layers.10.mlp.up_proj", False),
    ("gate", "model.layers.0.mlp.gate", True),
    ("gate", "model.layers.0.mlp.gate_proj", False),
    ("model.layers.0.self_attn*", "model.layers.0.self_attn.o_proj", True),
    ("model.layers.*.self_attn", "model.layers.7.self_attn.k_proj", True),
    ("*.mlp.shared_expert.*", "model.language_model.layers.3.mlp.shared_expert.up_proj", True),
    ("re:.*self_attn.*", "model.layers.7.self_attn.k_proj", True),
    ("re:.*mlp.gate$", "model.layers.7.mlp.gate_proj", False),
    ("vision_tower", "vision_tower.blocks.0.attn.qkv", True),
]


@pytest.mark.parametrize(("entry", "name", "listed"), LISTED)
def test_names_globs_and_expressions_list_modules(entry, name, listed):
    assert patterns([entry], "ignore").match(name) is listed


def plan(section, requested=None):
    return read_plan(Config({"quantization_config": section} if section else {}), requested)


def test_an_unquantized_checkpoint_keeps_its_type():
    assert plan(None).scheme_for("model.layers.0.mlp.up_proj") is None


def test_online_fp8_leaves_the_output_head_alone():
    made = plan(None, "fp8")
    assert made.scheme_for("model.layers.0.mlp.up_proj") is FP8_TENSOR
    assert made.scheme_for("lm_head") is None


def test_gpt_oss_quantizes_its_experts_only():
    made = plan({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]})
    assert made.scheme_for("model.layers.0.mlp.experts.0.up_proj") is MXFP4
    assert made.scheme_for("model.layers.0.self_attn.q_proj") is None


def test_compressed_tensors_may_mix_schemes_by_module():
    made = plan(
        {
            "quant_method": "compressed-tensors",
            "config_groups": {
                "a": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 16}},
                "b": {
                    "targets": ["re:.*self_attn.*"],
                    "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
                },
            },
            "ignore": ["re:.*layers.1.*"],
            "kv_cache_scheme": {"num_bits": 8, "type": "float"},
        }
    )
    assert made.scheme_for("model.layers.0.self_attn.q_proj") is FP8_ROWS
    assert made.scheme_for("model.layers.0.mlp.up_proj") is NVFP4
    assert made.scheme_for("model.layers.1.mlp.up_proj") is None
    assert made.kv_cache_fp8


def test_modelopt_names_layers_one_by_one_where_it_mixes():
    layers = {
        "model.layers.0.mlp.experts": {"quant_algo": "W4A16_NVFP4"},
        "model.layers.0.attn": {"quant_algo": "FP8"},
    }
    made = plan({"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}})
    assert made.scheme_for("model.layers.0.mlp.experts.0.up_proj") is NVFP4
    assert made.scheme_for("model.layers.0.attn.q") is FP8_TENSOR
    assert made.scheme_for("model.layers.1.attn.q") is None


def test_towers_stay_unquantized():
    made = plan({"quant_method": "awq", "bits": 4, "group_size": 128})
    assert made.scheme_for("vision_tower.blocks.0.attn.qkv") is None


REFUSED = [
    ({"quant_method": "exl2"}, None, r"^quantization_config\.quant_method: 'exl2' is not understood"),
    ({"bits": 4}, None, r"^quantization_config\.quant_method: is missing"),
    ({"quant_method": "awq", "bits": 5, "group_size": 128}, None, r"bits: 5 bits per weight"),
    ({"quant_method": "awq", "group_size": 128}, None, r"^quantization_config\.bits: is missing"),
    (
        {"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"x": 1}},
        None,
        r"dynamic: rules by module",
    ),
    ({"quant_method": "fp8", "weight_block_size": [128, 64]}, None, r"weight_block_size: only square blocks"),
    ({"quant_method": "fp8", "modules_to_not_convert": ["re:("]}, None, r"does not compile"),
    ({"quant_method": "awq", "bits": 4, "group_size": 128}, "gptq", r"^quantization: 'gptq' was asked for"),
    ({"quant_algo": "INT3"}, None, r"quant_algo: 'INT3' is not understood"),
    (None, "awq", r"^quantization: 'awq' cannot be made of an unquantized checkpoint"),
]


@pytest.mark.parametrize(("section", "requested", "message"), REFUSED)
def test_what_is_not_understood_is_refused_by_its_key(section, requested, message):
    with pytest.raises(SizingError, match=message):
        plan(section, requested)


@pytest.mark.parametrize("kernel", ["awq", "awq_marlin"])
def test_a_kernel_of_the_same_format_may_be_asked_for(kernel):
    assert plan({"quant_method": "awq", "bits": 4, "group_size": 128}, kernel).method == "awq"
