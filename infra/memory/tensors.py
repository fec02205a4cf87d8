"""A model's tensors as the engine stores them: shapes, how ranks share them, which may be quantized."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class Split(enum.Enum):
    """How tensor parallel ranks share a tensor."""

    WHOLE = "every rank holds all of it (norms, routers, MLA's down projections)"
    ROWS = "output features are divided (column-parallel linear layers)"
    COLUMNS = "input features are divided (row-parallel linear layers)"
    KV_HEADS = "divided by heads, and repeated once there are more ranks than key-value heads"
    VOCABULARY = "rows of an embedding or of the output head, padded"
    EXPERT_ROWS = "an expert's output features, or whole experts under expert parallelism"
    EXPERT_COLUMNS = "an expert's input features, or whole experts under expert parallelism"


EXPERT_SPLITS = frozenset({Split.EXPERT_ROWS, Split.EXPERT_COLUMNS})


@dataclass(frozen=True, slots=True)
class Tensor:
    """`copies` equal matrices (columns > 0) or vectors (columns = 0).

    `name` is the module's name in the checkpoint, which the lists of quantized modules refer to; `stored_as` is the
    engine's own parameter, into which several may be fused (q, k, v) and which the allocator rounds as one.
    `derived` tensors are made by the engine at load and are no part of the checkpoint. `heads` is how many key-value
    heads its rows are, where it is divided by those.
    """

    name: str
    rows: int
    columns: int
    split: Split
    copies: int = 1
    quantizable: bool = False
    stored_as: str = ""
    element_bytes: int | None = None
    derived: bool = False
    heads: int = 0

    @property
    def elements(self) -> int:
        """Parameters in all copies."""
        return self.rows * max(self.columns, 1) * self.copies


def linear(
    name: str, shape: tuple[int, int], split: Split, *, bias: bool = False, into: str = ""
) -> Iterator[Tensor]:
    """A linear layer's weight (output by input features) and bias; `into` names the fused parameter beside it."""
    stored = f"{name.rpartition('.')[0]}.{into}" if into else name
    yield Tensor(name, *shape, split, quantizable=True, stored_as=stored)
    if bias:
        split_of_bias = Split.WHOLE if split is Split.COLUMNS else split
        yield Tensor(name + ".bias", shape[0], 0, split_of_bias, stored_as=stored + ".bias")


def vector(
    name: str, size: int, copies: int = 1, split: Split = Split.WHOLE, element_bytes: int | None = None
) -> Tensor:
    """A norm's weight or another vector, kept whole on every rank unless said otherwise."""
    return Tensor(name, size, 0, split, copies, False, name, element_bytes)


def plain(
    name: str, rows: int, columns: int, split: Split = Split.WHOLE, element_bytes: int | None = None
) -> Tensor:
    """A matrix that no quantization touches: embeddings, routers, convolutions."""
    return Tensor(name, rows, columns, split, 1, False, name, element_bytes)
