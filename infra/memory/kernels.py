"""Paddings that a GPU's kernels add to quantized experts, by vLLM's own rules for the backend it picks there."""

from __future__ import annotations

from dataclasses import dataclass

from infra.memory.quantization.schemes import MXFP4, Scheme


@dataclass(frozen=True)
class ExpertKernel:
    """Expert width and model width are rounded up; `input_multiple` rounds what a matrix reads once more.

    `scale_copies`: how often the scales stay in memory (the Triton kernels leave the unswizzled ones behind).
    """

    width_multiple: int = 1
    hidden_multiple: int = 1
    input_multiple: int = 1
    scale_copies: int = 1

    def matrix_bytes(self, scheme: Scheme, rows: int, columns: int) -> int:
        """Bytes of one expert matrix whose sides are already rounded."""
        inputs = _up(columns, self.input_multiple)
        scales = rows * -(-columns // scheme.group) * scheme.scale_bytes if scheme.group else 0
        return scheme.matrix_bytes(rows, inputs) + (self.scale_copies - 1) * scales

    def sides(self, rows: int, columns: int, *, reads_width: bool) -> tuple[int, int]:
        """Rounded rows and columns; a down projection reads the expert's width, the others write it."""
        by_rows, by_columns = self.width_multiple, self.hidden_multiple
        if reads_width:
            by_rows, by_columns = by_columns, by_rows
        return _up(rows, by_rows), _up(columns, by_columns)


PLAIN = ExpertKernel()

# vllm/model_executor/layers/fused_moe/oracle/mxfp4.py, mxfp4_round_up_hidden_size_and_intermediate_size (0.19 to 0.32;
# 0.10 to 0.13 have the same numbers in layers/quantization/mxfp4.py). Against start logs of gpt-oss: Marlin 13.69 for
# 13.72 GiB, Triton 13.65 for 13.64 (one GPU), 7.01 for 7.01 (two), 3.62 for 3.63 (four).
_MARLIN = ExpertKernel(width_multiple=128, hidden_multiple=256)
_TRITON = ExpertKernel(width_multiple=64, input_multiple=128, scale_copies=2)
_TRTLLM = ExpertKernel(width_multiple=256, hidden_multiple=256)
_MXFP4_BY_CAPABILITY = {
    "9.0": _TRITON,
    "10.0": _TRTLLM,
    "9.4": ExpertKernel(width_multiple=256, hidden_multiple=256),  # ROCm's Triton on MI300X
}


def expert_kernel(scheme: Scheme | None, compute_capability: str) -> ExpertKernel:
    """The kernel that runs experts of this scheme on GPUs of this capability."""
    if scheme is not MXFP4:
        return PLAIN
    return _MXFP4_BY_CAPABILITY.get(compute_capability, _MARLIN)


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
