"""The engine's view of a model: layers with what they store and what they remember, and what stands around them."""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.memory.tensors import Tensor


@dataclass(frozen=True, slots=True)
class AttentionCache:
    """Keys and values of grouped-query attention: `kv_heads * (key_dim + value_dim)` numbers per token.

    `window`: only the last tokens are kept; `chunk`: only the current chunk (Llama 4's local layers).
    """

    kv_heads: int
    key_dim: int
    value_dim: int
    window: int | None = None
    chunk: int | None = None


@dataclass(frozen=True, slots=True)
class LatentCache:
    """MLA's compressed latent with its rotary part, whole on every rank; with `index_dim`, a sparse index beside it."""

    latent_dim: int
    rope_dim: int
    index_dim: int = 0


@dataclass(frozen=True, slots=True)
class StatePart:
    """One recurrent state tensor of a sequence: elements over all ranks, and bytes of each (None: the model's)."""

    elements: int
    element_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class StateCache:
    """A mamba or linear-attention layer: states of fixed size per sequence, divided over the ranks.

    `exported`: a prefill can leave the state of a block that it passes (Mamba 2), for which a place is kept.
    """

    parts: tuple[StatePart, ...]
    exported: bool = False


Cache = AttentionCache | LatentCache | StateCache


@dataclass(frozen=True, slots=True)
class Work:
    """What one token needs while a layer runs, in features over all ranks: it decides the activation peak."""

    attention: int = 0
    feedforward: int = 0
    experts_per_token: int = 0
    expert_features: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer. `cache` is None where a layer keeps nothing, or shares another layer's."""

    tensors: tuple[Tensor, ...]
    cache: Cache | None
    work: Work = field(default_factory=Work)


@dataclass(frozen=True, slots=True)
class RotaryTable:
    """A cosine and sine table, whole on every rank: `positions * features` numbers."""

    positions: int
    features: int


@dataclass(frozen=True, slots=True)
class Tower:
    """An encoder beside the language model: its width, what the largest image or clip turns into, and from how much."""

    tensors: tuple[Tensor, ...]
    width: int
    tokens_per_item: int
    patches_per_token: int


@dataclass(frozen=True, slots=True)
class Network:
    """A whole model. `entry` stands before the first layer (on the first pipeline stage), `exit` after the last."""

    hidden: int
    vocabulary: int
    attention_heads: int
    max_positions: int
    layers: tuple[Layer, ...]
    entry: tuple[Tensor, ...]
    exit: tuple[Tensor, ...]
    dtype: str
    rotary: tuple[RotaryTable, ...] = ()
    tower: Tower | None = None

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the checkpoint that the engine loads."""
        in_layers = (tensor for layer in self.layers for tensor in layer.tensors)
        return (*self.entry, *in_layers, *self.exit, *(self.tower.tensors if self.tower else ()))
