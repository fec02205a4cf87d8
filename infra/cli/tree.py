"""A folder of rendered files: written whole, and never over something that somebody else put there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.errors import RenderError

_MARK = ".agentfleet-render"
_MARK_TEXT = "Written by `fleet render`; the next render replaces this folder.\n"


def write_tree(root: Path, files: Mapping[str, tuple[str, str]]) -> None:
    """Make `root` hold exactly these files: relative path to text and octal mode.

    Raises RenderError for a folder that holds anything and was not written by an earlier render.
    """
    try:
        _clear(root)
        root.mkdir(parents=True, exist_ok=True)
        (root / _MARK).write_text(_MARK_TEXT, encoding="utf-8")
        for name, (text, mode) in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(int(mode, 8))
    except OSError as error:
        raise RenderError(f"{root}: cannot be written: {(error.strerror or str(error)).lower()}") from error


def _clear(root: Path) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise RenderError(f"{root}: is a file: name a folder")
    if not any(root.iterdir()):
        return
    if not (root / _MARK).is_file():
        raise RenderError(f"{root}: holds files that no render wrote: name another folder, or empty it")
    shutil.rmtree(root)
