"""How many bytes a matrix takes under each scheme.

Sizes are exact for the tensors of a checkpoint: packed weights and their scales and zero points. Embeddings, norms,
routers and convolutions stay in the model's own type under every scheme.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """`bits` per weight; scales per `group` of input features, per output row, or per square `block`."""

    name: str
    bits: int
    group: int = 0
    scale_bytes: int = 0
    zero_point: bool = False
    per_row: bool = False
    block: int = 0

    def matrix_bytes(self, rows: int, columns: int) -> int:
        """Bytes of one matrix with its scales and zero points."""
        bits = rows * columns * self.bits
        if self.group:
            groups = rows * -(-columns // self.group)
            bits += groups * (8 * self.scale_bytes + (self.bits if self.zero_point else 0))
        if self.per_row:
            bits += rows * 8 * self.scale_bytes
        if self.block:
            bits += -(-rows // self.block) * -(-columns // self.block) * 8 * self.scale_bytes
        return -(-bits // 8)


FP8_TENSOR = Scheme("fp8", 8)
FP8_ROWS = Scheme("fp8 per row", 8, per_row=True, scale_bytes=4)
INT8_ROWS = Scheme("int8 per row", 8, per_row=True, scale_bytes=4)
NVFP4 = Scheme("nvfp4", 4, group=16, scale_bytes=1)
MXFP4 = Scheme("mxfp4", 4, group=32, scale_bytes=1)
NF4 = Scheme("nf4", 4, group=64, scale_bytes=4)
