"""Whole budgets: against start logs that state every part, exact ones of the CPU, and laws that always hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.catalog.devices import device_named
from infra.catalog.models import model_from_config, model_named
from infra.memory import EngineSettings, size_replica

GIB = 1 << 30

# one start log each: vLLM 0.19.0 on H100, utilization 0.95, 1024 sequences, 8192 tokens a batch
# (weights, activations, outside PyTorch, KV cache) in GiB, (tokens, concurrency)
LOGS = [
    ("meta-llama/Llama-3.1-8B-Instruct", 1, "auto", (14.99, 1.89, 0.25, 58.11), (476_000, 58.11)),
    ("meta-llama/Llama-3.1-8B-Instruct", 2, "auto", (7.51, 1.89, 2.07, 63.76), (1_044_688, 127.53)),
    ("Qwen/Qwen2.5-7B-Instruct", 1, "auto", (14.25, 2.21, 0.24, 58.53), (1_095_968, 133.79)),
    ("Qwen/Qwen2.5-7B-Instruct", 1, "fp8", (14.25, 2.21, 0.24, 58.53), (2_192_000, 267.58)),
    ("Qwen/Qwen2.5-7B-Instruct", 4, "auto", (3.55, 2.21, 2.13, 67.34), (5_043_280, 615.63)),
    ("google/gemma-2-2b-it", 1, "auto", (4.9, 3.62, 0.24, 66.47), (670_160, 81.73)),
    ("google/gemma-7b", 1, "auto", (15.91, 3.63, 0.25, 55.44), (129_760, 15.84)),
    ("Qwen/Qwen3-30B-A3B", 1, "auto", (56.88, 2.68, 0.27, 15.41), (168_288, 20.54)),
    ("openai/gpt-oss-20b", 2, "auto", (7.01, 2.87, 2.07, 59.32), (2_591_776, 316.07)),
]


@pytest.mark.parametrize(("name", "ranks", "kv_dtype", "gib", "logged"), LOGS)
def test_the_parts_of_a_start_log_are_met(name, ranks, kv_dtype, gib, logged):
    tokens, concurrency = logged
    utilization = 0.9 if name.startswith("openai") else 0.95  # that one log leaves the default
    settings = EngineSettings(
        max_model_len=8192,
        vllm_version="0.19.0",
        tensor_parallel_size=ranks,
        kv_cache_dtype=kv_dtype,
        gpu_memory_utilization=utilization,
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
    )
    budget = size_replica(model_named(name), device_named("H100-SXM"), settings)
    weights, activation, non_torch, kv_cache = gib
    assert budget.weights_bytes / GIB == pytest.approx(weights, abs=0.05)
    assert budget.activation_bytes / GIB == pytest.approx(activation, abs=0.06)
    assert budget.non_torch_bytes / GIB == pytest.approx(non_torch, abs=0.05)
    assert budget.kv_cache_bytes / GIB == pytest.approx(kv_cache, rel=0.005)
    assert budget.kv_cache_tokens == pytest.approx(tokens, rel=0.005)
    assert budget.max_concurrency == pytest.approx(concurrency, rel=0.005)
    assert budget.interval.low_bytes <= kv_cache * GIB <= budget.interval.high_bytes


TINY = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "vocab_size": 4096,
    "max_position_embeddings": 8192,
    "torch_dtype": "float32",
}


@pytest.mark.parametrize(("length", "tokens", "concurrency"), [(8192, 65_536, 8.0), (1000, 64_000, 64.0)])
def test_the_lab_cpu_is_exact(length, tokens, concurrency):
    """64 MiB over blocks of 128 tokens of 1024 bytes; a float32 checkpoint is loaded in 16 bits."""
    settings = EngineSettings(max_model_len=length, kv_cache_memory_bytes=64 << 20)
    budget = size_replica(model_from_config(TINY), device_named("cpu-lab"), settings)
    assert (budget.block_size, budget.kv_bytes_per_token) == (128, 1024)
    assert (budget.kv_cache_tokens, budget.max_concurrency) == (tokens, concurrency)
    assert budget.interval.low_bytes == budget.interval.high_bytes == 64 << 20


def test_the_cpu_in_float32_holds_half():
    settings = EngineSettings(max_model_len=8192, kv_cache_memory_bytes=64 << 20, dtype="float32")
    assert size_replica(model_from_config(TINY), device_named("cpu-lab"), settings).kv_cache_tokens == 32_768


def test_latent_attention_is_whole_on_every_rank():
    """DeepSeek-V3: (512 + 64) numbers of 2 bytes in 61 layers, however many ranks there are."""
    for ranks in (8, 16):
        settings = EngineSettings(max_model_len=8192, tensor_parallel_size=ranks)
        budget = size_replica(model_named("deepseek-ai/DeepSeek-V3"), device_named("H200"), settings)
        assert budget.kv_bytes_per_token == 61 * 576 * 2


def test_a_sparse_index_adds_its_keys():
    settings = EngineSettings(max_model_len=8192, tensor_parallel_size=8)
    budget = size_replica(model_named("deepseek-ai/DeepSeek-V3.2"), device_named("H200"), settings)
    assert budget.kv_bytes_per_token == 61 * (576 * 2 + 128 + 4)


def test_graphs_come_off_the_cache_from_0_20_on():
    old, new = (
        size_replica(
            model_named("Qwen/Qwen2.5-7B-Instruct"),
            device_named("H100"),
            EngineSettings(8192, vllm_version=version, gpu_memory_utilization=0.9),
        )
        for version in ("0.19.0", "0.20.0")
    )
    assert old.cuda_graph_bytes == new.cuda_graph_bytes > 0
    assert old.kv_cache_bytes - new.kv_cache_bytes == new.cuda_graph_bytes


def test_what_does_not_fit_is_said_and_not_negative():
    budget = size_replica(
        model_named("meta-llama/Meta-Llama-3.1-70B"), device_named("H100"), EngineSettings(8192)
    )
    assert not budget.fits
    assert budget.kv_cache_bytes == budget.kv_cache_tokens == 0


MODELS = st.sampled_from(
    [
        "Qwen/Qwen3-8B",
        "google/gemma-3-27b-it",
        "openai/gpt-oss-20b",
        "Qwen/Qwen3.5-27B",
        "deepseek-ai/DeepSeek-V2-Lite-Chat",
    ]
)
VERSIONS = st.sampled_from(["0.9.2", "0.12.0", "0.19.1", "0.25.1", "0.32.0"])


@given(MODELS, VERSIONS, st.integers(256, 32_768), st.floats(0.5, 0.9))
def test_more_memory_never_holds_fewer_sequences(model, version, length, utilization):
    def concurrency(share):
        settings = EngineSettings(length, vllm_version=version, gpu_memory_utilization=share)
        return size_replica(model_named(model), device_named("H200"), settings).max_concurrency

    assert concurrency(utilization + 0.05) >= concurrency(utilization)


@given(MODELS, VERSIONS, st.integers(256, 16_384))
def test_longer_sequences_never_fit_more_often(model, version, length):
    def concurrency(tokens):
        settings = EngineSettings(tokens, vllm_version=version)
        return size_replica(model_named(model), device_named("H200"), settings).max_concurrency

    assert concurrency(2 * length) <= concurrency(length)


@given(MODELS, VERSIONS)
def test_the_parts_add_up_to_what_is_usable(model, version):
    budget = size_replica(
        model_named(model), device_named("H200"), EngineSettings(4096, vllm_version=version)
    )
    parts = budget.weights_bytes + budget.activation_bytes + budget.non_torch_bytes + budget.kv_cache_bytes
    graphs = budget.cuda_graph_bytes if version in {"0.25.1", "0.32.0"} else 0
    assert parts + graphs == budget.usable_bytes
    assert budget.interval.low_bytes <= budget.kv_cache_bytes <= budget.interval.high_bytes
