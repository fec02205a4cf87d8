"""One replica with everything resolved: the network, its quantization, the device, the flags and their defaults."""

from __future__ import annotations

from dataclasses import dataclass

from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.memory.config import Config
from infra.memory.families import build_network
from infra.memory.network import Network, StateCache
from infra.memory.quantization.plan import QuantizationPlan
from infra.memory.quantization.reading import read_plan
from infra.memory.settings import EngineSettings, Limits, element_bytes, resolve_limits
from infra.memory.versions import Version


@dataclass(frozen=True)
class Replica:
    """What every part of the memory model starts from."""

    name: str
    checkpoint_bytes: int | None
    architecture: str
    config: Config
    network: Network
    plan: QuantizationPlan
    device: Device
    settings: EngineSettings
    limits: Limits

    @property
    def ranks(self) -> int:
        """Tensor parallel GPUs of one pipeline stage."""
        return self.settings.tensor_parallel_size

    @property
    def version(self) -> Version:
        """The vLLM version, as far as its engine matters."""
        return self.limits.version

    @property
    def element_bytes(self) -> int:
        """Bytes of one number of the model's own type."""
        return element_bytes(self.settings.dtype)

    @property
    def is_dense(self) -> bool:
        """Whether no layer has experts."""
        return not any(layer.work.experts_per_token for layer in self.network.layers)

    @property
    def is_recurrent(self) -> bool:
        """Whether some layer keeps a state instead of tokens."""
        return any(isinstance(layer.cache, StateCache) for layer in self.network.layers)

    @property
    def usable_bytes(self) -> int:
        """What one GPU grants the engine: its memory times the utilization."""
        return int(self.device.memory_bytes * self.limits.utilization)


def resolve_replica(model: Model, device: Device, settings: EngineSettings) -> Replica:
    """Read the model's config and resolve the flags; SizingError names what is not understood."""
    network, config = build_network(model.config)
    return Replica(
        name=model.name,
        checkpoint_bytes=model.checkpoint_bytes,
        architecture=config.words("architectures")[0],
        config=config,
        network=network,
        plan=read_plan(config, settings.quantization),
        device=device,
        settings=settings,
        limits=resolve_limits(settings, device),
    )
