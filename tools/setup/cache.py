"""Folders of the cache: named by what they are made from, and there only when they are complete."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

KEY_HEX_DIGITS = 12


def key_of(words: Sequence[str], files: Sequence[Path] = ()) -> str:
    """Twelve hex digits that change with any word or any byte of a file, and with nothing else (paths do not count)."""
    digest = hashlib.sha256()
    for part in [*(word.encode() for word in words), *(file.read_bytes() for file in files)]:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:KEY_HEX_DIGITS]


@contextmanager
def built_beside(final: Path) -> Iterator[Path]:
    """A fresh path beside `final` to build in; it takes the final name only when the block ends well.

    What an earlier run left half done is thrown away first. Only one set-up runs at a time, so one name is enough.
    """
    partial = partial_of(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    partial.rename(final)


def partial_of(final: Path) -> Path:
    """Where `final` is built."""
    return final.with_name(f".{final.name}.partial")


def ready_link(cache: Path, name: str) -> Path:
    """Where users of the cache find the current build of `name` without knowing its key: a symbolic link."""
    return cache / "ready" / name


def point(cache: Path, name: str, target: Path) -> None:
    """Makes `ready_link` lead to `target`, in one step that no reader can catch half done."""
    link = ready_link(cache, name)
    link.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(link)
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.rename(link)


def points_to(cache: Path, name: str, target: Path) -> bool:
    """Whether `target` is complete and is what `ready_link` leads to."""
    link = ready_link(cache, name)
    return target.is_dir() and link.is_symlink() and link.readlink() == target
