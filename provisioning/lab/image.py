"""Where the image is that lab nodes are made from; the set-up makes it."""

from __future__ import annotations

from pathlib import Path

from provisioning.errors import LabError
from provisioning.places import cache_dir


def image_dir(codename: str = "") -> Path:
    """The root file system to use: the set-up's current one, or the newest of a release such as `bookworm`.

    The real path: it is what a node's disk stays bound to, while the set-up may move its link to a newer image.
    """
    found = _newest(codename) if codename else cache_dir() / "ready" / "base-image"
    if found is None or not found.is_dir():
        wanted = f"no image of {codename}" if codename else "no image"
        raise LabError(f"there is {wanted} for lab nodes in {cache_dir()}: run `make setup`, which makes it")
    return found.resolve()


def _newest(codename: str) -> Path | None:
    images = (cache_dir() / "images").glob(f"{codename}-*")
    return max(images, key=lambda image: image.stat().st_mtime_ns, default=None)
