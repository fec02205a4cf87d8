"""Weights: parameters of published models, the allocator's rounding, and how ranks and stages share them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.catalog.devices import device_named
from infra.catalog.models import model_from_config, model_named
from infra.errors import SizingError
from infra.memory import EngineSettings
from infra.memory.families import build_network
from infra.memory.replica import resolve_replica
from infra.memory.weights import allocated_bytes, stage_layers, stage_tensors, stage_weights_bytes

GIB = 1 << 30
MIB = 1 << 20

# published totals, or totals of the checkpoints' own tensor lists
PARAMETERS = [
    ("meta-llama/Meta-Llama-3.1-8B", 8_030_261_248),
    ("meta-llama/Meta-Llama-3.1-405B", 405_853_388_800),
    ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
    ("Qwen/Qwen3-0.6B", 596_049_920),
    ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
    ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
    ("deepseek-ai/DeepSeek-V3", 671_026_404_352),
    ("deepseek-ai/DeepSeek-V2-Lite-Chat", 15_706_484_224),
    ("google/gemma-3-27b-it", 27_432_403_184),
    ("google/gemma-4-26B-A4B", 25_805_779_456),
    ("openai/gpt-oss-120b", 116_829_156_672),
    ("microsoft/phi-2", 2_779_681_280),
    ("Qwen/Qwen3.5-27B", 27_356_727_408),
    ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 108_641_786_496),
    ("moonshotai/Kimi-K2-Instruct", 1_026_408_209_408),
]


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_the_shapes_add_up_to_the_published_parameters(name, parameters):
    network, _ = build_network(model_named(name).config)
    total = sum(tensor.elements for tensor in network.tensors() if not tensor.derived)
    assert total == pytest.approx(parameters, rel=2e-5)


def first_stage_gib(name, version="0.19.0", gpu="H100-SXM", **flags):
    settings = EngineSettings(max_model_len=2048, vllm_version=version, **flags)
    replica = resolve_replica(model_named(name), device_named(gpu), settings)
    tensors = stage_tensors(replica.network, settings.pipeline_parallel_size)[0]
    return stage_weights_bytes(tensors, replica) / GIB


# "Model loading took" of public start logs
LOADED = [
    ("meta-llama/Llama-3.1-8B-Instruct", {}, 14.99),
    ("meta-llama/Llama-3.1-8B-Instruct", {"tensor_parallel_size": 2}, 7.51),
    ("meta-llama/Llama-3.1-8B-Instruct", {"pipeline_parallel_size": 4}, 4.26),
    ("meta-llama/Llama-3.1-8B-Instruct", {"quantization": "fp8"}, 8.49),
    ("Qwen/Qwen2.5-7B-Instruct", {}, 14.2488),
    ("Qwen/Qwen2.5-7B-Instruct", {"tensor_parallel_size": 4}, 3.55),
    ("Qwen/Qwen3-30B-A3B", {"tensor_parallel_size": 4}, 14.25),
    ("google/gemma-7b", {}, 15.91),
    ("ibm-granite/granite-3.1-8b-instruct", {}, 15.25),
    ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w8a8", {}, 67.72),
    ("RedHatAI/Llama-3.3-70B-Instruct-quantized.w8a8", {"tensor_parallel_size": 4}, 16.96),
    ("openai/gpt-oss-20b", {"gpu": "A100-80GB-SXM"}, 13.72),
    ("openai/gpt-oss-20b", {"tensor_parallel_size": 2}, 7.01),
    ("Qwen/Qwen3.5-27B", {"gpu": "RTX-3090", "tensor_parallel_size": 4}, 13.01),
    ("google/gemma-4-26B-A4B-it", {"gpu": "GB10"}, 48.5),
]


@pytest.mark.parametrize(("name", "flags", "gib"), LOADED)
def test_weights_are_what_the_engine_says_it_loaded(name, flags, gib):
    assert first_stage_gib(name, **flags) == pytest.approx(gib, rel=0.005)


ROUNDED = [
    (1, 512),
    (512, 512),
    (10 * MIB - 1, 10 * MIB),
    (10 * MIB, 10 * MIB),
    (11 * MIB, 12 * MIB),  # a rest of 1 MiB stays with the tensor
    (11 * MIB - 512, 11 * MIB - 512),  # a larger rest is split off
]


@pytest.mark.parametrize(("size", "counted"), ROUNDED)
def test_the_allocator_rounds_large_tensors_to_their_segment(size, counted):
    assert allocated_bytes(size) == counted


def test_stages_before_the_last_take_the_layers_that_do_not_divide():
    network, _ = build_network(model_named("nvidia/Llama-3_3-Nemotron-Super-49B-v1").config)  # 80 layers
    assert [len(stage) for stage in stage_layers(network, 3)] == [27, 27, 26]
    network = replace(network, layers=network.layers[:61])
    assert [len(stage) for stage in stage_layers(network, 2)] == [31, 30]
    assert [len(stage) for stage in stage_layers(network, 4)] == [15, 15, 16, 15]


def test_a_tied_head_is_a_second_copy_on_the_last_stage():
    network, _ = build_network(model_named("Qwen/Qwen3-0.6B").config)
    first, last = stage_tensors(network, 2)
    assert "model.embed_tokens" in {tensor.name for tensor in first}
    assert "model.embed_tokens" in {tensor.name for tensor in last}


def test_key_value_heads_are_repeated_once_there_are_more_ranks():
    """Qwen2.5-7B has 4 key-value heads: from 4 ranks on each holds one."""
    assert first_stage_gib("Qwen/Qwen2.5-7B-Instruct", tensor_parallel_size=4) < 3.56
    halves = first_stage_gib("Qwen/Qwen3-30B-A3B", tensor_parallel_size=4) / 2
    assert first_stage_gib("Qwen/Qwen3-30B-A3B", tensor_parallel_size=8) > halves


def test_expert_parallelism_keeps_whole_experts():
    with pytest.raises(SizingError, match=r"1536 features .* make 192, no multiple of the 128"):
        first_stage_gib("Qwen/Qwen3-235B-A22B-FP8", tensor_parallel_size=8)
    gib = first_stage_gib("Qwen/Qwen3-235B-A22B-FP8", tensor_parallel_size=8, expert_parallel=True)
    assert gib == pytest.approx(27.6656, rel=0.01)  # the start log of vLLM 0.10.0 on 8 x H100


def test_float32_doubles_what_is_not_quantized():
    assert first_stage_gib("Qwen/Qwen3-0.6B", dtype="float32") == pytest.approx(2 * 1.12, rel=0.01)


def test_a_model_may_come_as_a_mapping():
    facts = dict(model_named("Qwen/Qwen3-0.6B").config)
    assert build_network(model_from_config(facts).config)[0].hidden == 1024
