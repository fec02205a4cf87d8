"""The memory model: what vLLM reserves on each GPU and how many tokens of KV cache that leaves."""

from infra.memory.budget import MemoryBudget, size_replica
from infra.memory.interval import Interval
from infra.memory.settings import EngineSettings
from infra.memory.versions import LATEST_VLLM

__all__ = ["LATEST_VLLM", "EngineSettings", "Interval", "MemoryBudget", "size_replica"]
