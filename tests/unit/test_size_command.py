"""`fleet size`: the contract of its JSON, its exit codes, and what it may not import to start fast."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from infra.cli.size import run_size

QWEN = ["--model", "Qwen/Qwen2.5-7B-Instruct", "--max-model-len", "8192"]
KEYS = {
    "weights_bytes_per_gpu",
    "activation_bytes_per_gpu",
    "non_torch_bytes_per_gpu",
    "cuda_graph_bytes_per_gpu",
    "kv_cache_bytes_per_gpu",
    "kv_cache_tokens",
    "max_concurrency",
    "kv_bytes_per_token",
    "fits",
    "interval",
    "notes",
}


def answer(capsys, *words):
    code = run_size([*QWEN, *words, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_json_has_the_keys_that_scripts_rely_on(capsys):
    code, printed = answer(capsys, "--gpu", "H100", "--vllm-version", "0.19.0")
    assert code == 0
    assert set(printed) >= KEYS
    assert printed["fits"] is True
    low, high = printed["interval"]["kv_cache_bytes_per_gpu"]
    assert low <= printed["kv_cache_bytes_per_gpu"] <= high


def test_every_flag_of_the_contract_is_taken(capsys):
    words = (
        "--gpu-memory-gib 79.19 --tensor-parallel-size 2 --gpu-memory-utilization 0.9 --kv-cache-dtype fp8"
    )
    words += (
        " --quantization fp8 --dtype bfloat16 --max-num-seqs 64 --max-num-batched-tokens 4096 --enforce-eager"
    )
    words += " --block-size 32 --pipeline-parallel-size 2 --enable-expert-parallel --vllm-version 0.19.0"
    code, printed = answer(capsys, *words.split())
    assert code == 0
    assert printed["cuda_graph_bytes_per_gpu"] == 0
    assert printed["block_size"] == 32


def test_ranks_that_deal_out_a_context_hold_as_many_sequences_more(capsys):
    words = ("--gpu", "H200", "--model", "deepseek-ai/DeepSeek-V3", "--tensor-parallel-size", "8")
    alone, dealt = (answer(capsys, *words, "--decode-context-parallel-size", size)[1] for size in "18")
    assert dealt["max_concurrency"] == pytest.approx(8 * alone["max_concurrency"], rel=1e-3)
    assert dealt["kv_bytes_per_token"] == alone["kv_bytes_per_token"] // 8
    assert dealt["kv_cache_bytes_per_gpu"] == alone["kv_cache_bytes_per_gpu"]


def test_what_does_not_fit_is_an_answer_with_exit_code_1(capsys):
    code, printed = answer(capsys, "--gpu-memory-gib", "12", "--vllm-version", "0.32.0")
    assert (code, printed["fits"], printed["kv_cache_tokens"]) == (1, False, 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--gpu", "H900"], "gpu: 'H900' is not in the catalog of devices"),
        (["--gpu-memory-gib", "-3"], "gpu_memory_gib: must be a GPU's memory in GiB"),
        (["--gpu-memory-gib", "many"], "fleet size: argument --gpu-memory-gib: invalid float value: 'many'"),
        ([], "fleet size: one of the arguments --gpu --gpu-memory-gib is required"),
        (["--gpu", "H100", "--colour", "red"], "fleet size: unrecognized arguments: --colour red"),
        (["--gpu", "H100", "--tensor-parallel-size", "5"], "tensor_parallel_size: 5 ranks do not divide 28"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(capsys, words, sentence):
    assert run_size([*QWEN, *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(sentence)
    assert printed.err.count("\n") == 1


def test_the_text_is_in_gib_and_names_the_interval(capsys):
    assert (
        run_size([*QWEN, "--gpu", "H100", "--vllm-version", "0.19.0", "--gpu-memory-utilization", "0.95"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "  KV cache            58.5" in printed
    assert "between " in printed


def test_help_is_no_error(capsys):
    assert run_size(["--help"]) == 0
    assert "--tensor-parallel-size" in capsys.readouterr().out


def test_it_starts_without_heavy_imports():
    """What costs most of a start is absent: no pydantic, typer, rich, YAML, Jinja or Pulumi on this path."""
    script = "import sys, infra.cli.size as c; c.run_size(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", script, *QWEN, "--gpu", "H100"]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stderr.split()
    heavy = {"pydantic", "typer", "click", "rich", "yaml", "ruamel", "jinja2", "pulumi", "grpc", "paramiko"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
