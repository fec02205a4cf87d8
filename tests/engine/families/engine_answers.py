"""What the programs that the engine's own Python runs here have in common: questions in, answers out, line by line.

The first line of stdin says on what (engine_stand_in.py). Each further one is a case, {"files": {name: contents of a
model's folder}, "flags": {field of EngineArgs: value}}; each line of stdout answers one: {"tokens", "concurrency",
"block_size", "error"}.

Importing this prepares the process for vLLM, and hides what the machine's processor has besides: by AMX and AVX512-BF16
vLLM's CPU build chooses MLA's blocks and the type of recurrent states, and the answers must be the same everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}

import torch

os.nice(10)
torch.cpu._is_amx_tile_supported = lambda: False
torch.cpu._is_avx512_bf16_supported = lambda: False

_ANSWERS = os.fdopen(os.dup(sys.stdout.fileno()), "w")
os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what vLLM prints is no answer

# Flags of every case: no weights, no tokenizer, no compiling, and no towers, which need image processors.
BARE = {
    "load_format": "dummy",
    "skip_tokenizer_init": True,
    "enforce_eager": True,
    "language_model_only": True,
}


@contextlib.contextmanager
def model_folder(files: dict[str, Any]) -> Iterator[str]:
    """A model's folder with these JSON files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, contents in files.items():
            (Path(folder) / name).write_text(json.dumps(contents))
        yield folder


def capacity_of(cache: Any) -> dict[str, Any]:
    """The answer that vLLM's cache settings hold once the cache is cut into blocks."""
    return {
        "tokens": cache.kv_cache_size_tokens,
        "concurrency": cache.kv_cache_max_concurrency,
        "block_size": cache.block_size,
        "error": "",
    }


def answer_each(answer: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]) -> None:
    """Answer every line of stdin; what vLLM refuses is answered with its sentence."""
    for line in sys.stdin:
        case = json.loads(line)
        try:
            said = answer(case["files"], case["flags"])
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), file=_ANSWERS, flush=True)
