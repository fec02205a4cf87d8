"""The tensors in a checkpoint's folder, by the headers of its safetensors files: exact, and read at once."""

from __future__ import annotations

import json
import struct
from pathlib import Path

_LARGEST_HEADER_BYTES = 100 << 20  # the format's own limit


def checkpoint_bytes(folder: Path) -> int | None:
    """Bytes of all tensors in a folder's *.safetensors files; None where there are none, or one cannot be read."""
    files = sorted(folder.glob("*.safetensors"))
    try:
        return sum(map(_tensor_bytes, files)) if files else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return None


def _tensor_bytes(path: Path) -> int:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _LARGEST_HEADER_BYTES:
            raise ValueError(f"{path} has no safetensors header")
        header = json.loads(file.read(length))
    offsets = (tensor["data_offsets"] for name, tensor in header.items() if name != "__metadata__")
    return sum(end - start for start, end in offsets)
