"""What is refused, by which name, and what is only noted."""

from __future__ import annotations

import pytest

from infra.catalog.devices import device_named, device_of_memory
from infra.catalog.models import model_from_config, model_named
from infra.errors import SizingError
from infra.memory import EngineSettings, size_replica

GIB = 1 << 30
KIMI = "moonshotai/Kimi-K2.6"


def size(model="Qwen/Qwen3-8B", gpu="H100-SXM", **flags):
    return size_replica(
        model_named(model), device_named(gpu), EngineSettings(**{"max_model_len": 8192} | flags)
    )


REFUSED = [
    ({"tensor_parallel_size": 3}, "tensor_parallel_size: 3 ranks do not divide 32 attention heads"),
    ({"max_model_len": 50_000}, "max_model_len: 50000 tokens are more than the 40960 positions of the model"),
    ({"max_model_len": 0}, "max_model_len: must be a whole number of at least 1, not 0"),
    ({"gpu_memory_utilization": 1.5}, "gpu_memory_utilization: must be above 0 and at most 1, not 1.5"),
    ({"kv_cache_dtype": "int3"}, "kv_cache_dtype: 'int3' is not understood"),
    (
        {"kv_cache_dtype": "fp8", "gpu": "A100-80GB-SXM"},
        "kv_cache_dtype: A100-80GB-SXM (ampere) keeps no 8-bit e4m3",
    ),
    ({"kv_cache_dtype": "fp8_e5m2", "gpu": "T4"}, "kv_cache_dtype: T4 (turing) keeps no 8-bit"),
    ({"dtype": "int8"}, "dtype: 'int8' is not understood"),
    ({"dtype": "bfloat16", "gpu": "T4"}, "dtype: T4 (turing) has no bfloat16"),
    (
        {"dtype": "float16", "model": "google/gemma-3-27b-it"},
        "dtype: Gemma3ForConditionalGeneration is unstable",
    ),
    ({"block_size": 20}, "block_size: 20 is no multiple of 16"),
    (
        {"block_size": 48, "gpu": "cpu-lab", "kv_cache_memory_bytes": GIB},
        "block_size: 48 is no multiple of 32",
    ),
    (
        {"max_num_seqs": 512, "max_num_batched_tokens": 256},
        "max_num_batched_tokens: 256 are fewer than max_num_seqs 512",
    ),
    ({"pipeline_parallel_size": 37}, "pipeline_parallel_size: 37 stages are more than the model's 36 layers"),
    (
        {"decode_context_parallel_size": 3, "tensor_parallel_size": 8, "model": KIMI},
        "decode_context_parallel_size: 3 does not divide the 8 ranks of tensor_parallel_size",
    ),
    (
        {"decode_context_parallel_size": 2, "tensor_parallel_size": 8},
        "decode_context_parallel_size: needs each KV head on 2 ranks, and 8 ranks keep each of 8 heads once",
    ),
    (
        {"decode_context_parallel_size": 4, "tensor_parallel_size": 16},
        "decode_context_parallel_size: needs each KV head on 4 ranks, and 16 ranks keep each of 8 heads 2 times",
    ),
    (
        {"decode_context_parallel_size": 2, "tensor_parallel_size": 2, "model": "google/gemma-3-27b-it"},
        "decode_context_parallel_size: layers with a window or chunk do not deal out their tokens",
    ),
    (
        {
            "decode_context_parallel_size": 8,
            "tensor_parallel_size": 8,
            "model": KIMI,
            "vllm_version": "0.10.1",
        },
        "decode_context_parallel_size: is for this model in vLLM 0.10.2 and later",
    ),
    ({"vllm_version": "0.5.4"}, "vllm_version: 0.5.4 is outside what the memory model knows"),
    ({"vllm_version": "0.99.0"}, "vllm_version: 0.99.0 is outside what the memory model knows"),
    ({"vllm_version": "newest"}, "vllm_version: 'newest' is not a version"),
    ({"quantization": "awq"}, "quantization: 'awq' cannot be made of an unquantized checkpoint"),
]


@pytest.mark.parametrize(("flags", "message"), REFUSED)
def test_what_would_not_start_is_refused_by_the_flag(flags, message):
    with pytest.raises(SizingError) as caught:
        size(**flags)
    assert str(caught.value).startswith(message)


def changed(**facts):
    config = {**model_named("Qwen/Qwen3-8B").config, **facts}
    return model_from_config({key: value for key, value in config.items() if value != "gone"})


CONFIGS = [
    ({"architectures": ["NovelForCausalLM"]}, "architectures: 'NovelForCausalLM' is not an architecture"),
    ({"architectures": []}, "architectures: must name one architecture"),
    ({"architectures": "gone"}, "architectures: is missing"),
    ({"hidden_size": "gone"}, "hidden_size: is missing"),
    ({"vocab_size": -1}, "vocab_size: must be a whole number"),
    ({"intermediate_size": [1, 2]}, "intermediate_size: must be a whole number"),
    ({"num_key_value_heads": 5}, "tensor_parallel_size: 2 ranks neither divide 5 key-value heads"),
    ({"rope_scaling": {"rope_type": "spiral"}}, "rope_scaling.rope_type: 'spiral' is no rotary scaling"),
    ({"compress_ratios": [4, 128]}, "compress_ratios: [4, 128] is not understood"),
    ({"num_memory_layers": 12}, "num_memory_layers: 12 is not understood"),
    (
        {"layer_types": ["full_attention"] * 3, "sliding_window": 64, "use_sliding_window": True},
        "layer_types: names 3",
    ),
]


@pytest.mark.parametrize(("facts", "message"), CONFIGS)
def test_what_is_not_understood_is_refused_by_the_key(facts, message):
    with pytest.raises(SizingError) as caught:
        size_replica(changed(**facts), device_named("H100"), EngineSettings(8192, tensor_parallel_size=2))
    assert str(caught.value).startswith(message)


def test_keys_that_change_no_bytes_are_accepted():
    facts = {
        "rms_norm_eps": 1e-5,
        "use_cache": True,
        "bos_token_id": 3,
        "my_note": "hello",
        "num_extra_heads": 0,
    }
    assert size_replica(changed(**facts), device_named("H100"), EngineSettings(8192)).fits


def test_a_name_that_says_quantized_needs_a_config_that_says_so():
    model = model_from_config(dict(model_named("Qwen/Qwen3-8B").config), name="org/Qwen3-8B-NVFP4")
    with pytest.raises(SizingError, match=r"^quantization_config: is missing, though the name says NVFP4"):
        size_replica(model, device_named("B200"), EngineSettings(8192))
    assert size_replica(model, device_named("B200"), EngineSettings(8192, quantization="fp8")).fits


def test_a_checkpoint_may_ask_for_an_8_bit_cache_itself():
    asked = "nvidia/Llama-3.1-70B-Instruct-FP8"
    eight = size(asked, "H200", vllm_version="0.19.0")
    assert size(asked, "H200", vllm_version="0.12.0").kv_bytes_per_token == 2 * eight.kv_bytes_per_token
    with pytest.raises(SizingError, match=r"^kv_cache_dtype: A100.* the checkpoint asks for it"):
        size(asked, "A100-80GB-SXM", vllm_version="0.19.0", tensor_parallel_size=2)


def test_notes_say_what_was_assumed():
    (note,) = size(gpu="L40S", tensor_parallel_size=2).notes
    assert note == "L40S has no NVLink: tensor parallelism over PCIe costs speed"
    untagged = size(vllm_version="0.1.dev18496").notes[0]
    assert untagged.startswith("vLLM 0.1.dev18496 is a build without tags")
    unnamed = size_replica(model_named("Qwen/Qwen3-8B"), device_of_memory(100 * GIB), EngineSettings(8192))
    assert "generation is not known" in unnamed.notes[0]


def test_without_a_version_the_least_generous_is_answered_and_the_newest_named():
    unknown, newest = size(vllm_version=None), size()
    assert unknown.kv_cache_bytes < newest.kv_cache_bytes
    assert f"0.32.0 holds {newest.kv_cache_tokens} tokens" in unknown.notes[0]
    assert (
        unknown.interval.low_bytes
        <= unknown.kv_cache_bytes
        <= newest.kv_cache_bytes
        <= unknown.interval.high_bytes
    )
