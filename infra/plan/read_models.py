"""The facts of a spec's models: the only part of planning that reads files, kept apart from the deciding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infra.catalog.models import Model, model_from_config, model_named
from infra.errors import SizingError
from infra.spec import FleetSpec


def read_models(spec: FleetSpec, base: Path) -> Mapping[str, Model]:
    """Each model by its key: a config.json below `base` (the spec's folder) where one exists, else the catalog's.

    Raises SizingError that names the key.
    """
    return {key: _read(key, model.config, base) for key, model in spec.models.items()}


def _read(key: str, config: str, base: Path) -> Model:
    path = base / config
    try:
        if path.is_file() or (path / "config.json").is_file():
            return model_from_config(path, name=key)
        return model_named(config)
    except SizingError as error:
        raise SizingError(f"models.{key}.config", error.message) from None
