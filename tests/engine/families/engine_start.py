"""Run by the engine's own Python: starts vLLM for real, model after model, and says what it then holds.

vLLM is imported once; each case is started in a fork of this process, with random weights, up to the point at which an
engine serves: config, model, weights, cache. That takes 2 s a case instead of 25.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import engine_answers as answers
import engine_stand_in as stand_in
from vllm.engine.arg_utils import EngineArgs
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.llm_engine import LLMEngine
from vllm.v1.executor import uniproc_executor  # noqa: F401  imported before the forks, for all of them
from vllm.v1.worker import cpu_worker  # noqa: F401

_TIMEOUT_S = 120
stand_in.complete()


def started(files: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """Start one engine with the defaults of `vllm serve`."""
    with answers.model_folder(files) as folder:
        settings = EngineArgs(model=folder, distributed_executor_backend="uni", **answers.BARE, **flags)
        engine = LLMEngine.from_engine_args(settings, usage_context=UsageContext.OPENAI_API_SERVER)
        return answers.capacity_of(engine.vllm_config.cache_config)


def in_a_fork(
    answer: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    files: dict[str, Any],
    flags: dict[str, Any],
) -> dict[str, Any]:
    """The answer of a child of this process, which ends with its engine."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(_TIMEOUT_S)
        try:
            said = answer(files, flags)
        except Exception as error:
            said = {"error": f"{type(error).__name__}: {error}"}
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(said) if said else {"error": f"the engine ended with status {status}"}


if __name__ == "__main__":
    answers.answer_each(lambda files, flags: in_a_fork(started, files, flags))
