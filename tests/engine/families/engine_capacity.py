"""Run by the engine's own Python: what vLLM would log as its KV cache size, for models of any size, in a blink.

A case's model is built on torch's "meta" device, so that it has every layer and no weights, and vLLM's own engine core
then cuts the given bytes into blocks. Importing vLLM takes 5 to 20 s, a case 0.02 to 0.5 s.
"""

from __future__ import annotations

import gc
import tempfile
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import engine_answers as answers
import engine_stand_in as stand_in
import torch
import vllm.distributed.parallel_state as ranks
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext
from vllm.utils.torch_utils import set_default_torch_dtype
from vllm.v1.engine.core import EngineCore
from vllm.v1.worker.gpu.attn_utils import get_kv_cache_spec
from vllm.v1.worker.worker_base import WorkerBase
from vllm.v1.worker.workspace import init_workspace_manager

stand_in.complete()


@dataclass
class Workers:
    """Stands where the engine core expects its executor: one worker for each pipeline stage, built and left alone."""

    memory_bytes: int
    specs: list[dict[str, Any]] = field(default_factory=list)
    layouts: list[list[str]] = field(default_factory=list)

    def get_kv_cache_specs(self) -> list[dict[str, Any]]:
        return self.specs

    def get_supported_kv_cache_layouts(self) -> list[list[str]]:
        return self.layouts

    def determine_available_memory(self) -> list[int]:
        return [self.memory_bytes] * len(self.specs)

    def set_kv_cache_layout(self, layout: str) -> None:
        pass

    def initialize_from_config(self, configs: object) -> None:
        pass

    def compile_or_warm_up_model(self) -> None:
        pass


def join_alone() -> None:
    """Make the groups of ranks that layers ask for their number of ranks, with this process alone in them."""
    with set_current_vllm_config(VllmConfig()), tempfile.NamedTemporaryFile() as meeting:
        ranks.init_distributed_environment(1, 0, f"file://{meeting.name}", 0, "gloo")
        ranks.ensure_model_parallel_initialized(1, 1)


def stand_at(stage: int, stages: int, tensor_ranks: int) -> None:
    """Be the first tensor parallel rank of a pipeline stage, as far as a layer that is being built can see."""
    columns = list(range(0, stages * tensor_ranks, tensor_ranks))
    row = list(range(columns[stage], columns[stage] + tensor_ranks))
    for group, members in ((ranks._TP, row), (ranks._EP, row), (ranks._PP, columns)):
        if group is None:
            continue
        group.rank = columns[stage]
        group.ranks = members
        group.world_size = len(members)
        group.rank_in_group = members.index(group.rank)


def build(flags: dict[str, Any], stage: int) -> VllmConfig:
    """Resolve the flags and build one stage's layers, as a worker does before it is asked for its cache."""
    config = EngineArgs(**answers.BARE, **flags).create_engine_config(UsageContext.OPENAI_API_SERVER)
    parallel = config.parallel_config
    stand_at(stage, parallel.pipeline_parallel_size, parallel.tensor_parallel_size)
    with set_default_torch_dtype(config.model_config.dtype), torch.device("meta"), stand_in.OnMeta():
        initialize_model(config)
    current_platform.update_block_size_for_backend(config)
    return config


def capacity(files: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """What vLLM makes of one case."""
    workers = Workers(flags["kv_cache_memory_bytes"])
    with answers.model_folder(files) as folder:
        for stage in range(flags.get("pipeline_parallel_size", 1)):
            config = build({"model": folder, **flags}, stage)
            with set_current_vllm_config(config):
                workers.specs.append(get_kv_cache_spec(config))
                workers.layouts.append(
                    WorkerBase.get_supported_kv_cache_layouts(SimpleNamespace(vllm_config=config))
                )
    core = SimpleNamespace(model_executor=workers, available_gpu_memory_for_kv_cache=-1)
    EngineCore._initialize_kv_caches(core, config)
    return answers.capacity_of(config.cache_config)


if __name__ == "__main__":
    join_alone()
    init_workspace_manager(torch.device("meta"))
    gc.freeze()  # what is imported stays; searching it for garbage would take longer than the cases
    answers.answer_each(capacity)
