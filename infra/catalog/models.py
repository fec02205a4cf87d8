"""Models by name or by their config.json: the facts that a checkpoint states about its own shapes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.catalog.checkpoint import checkpoint_bytes
from infra.errors import SizingError

_CONFIGS = Path(__file__).with_name("configs")
_SOURCES = Path(__file__).with_name("sources.json")


@dataclass(frozen=True)
class Model:
    """A model: its hub id or path, its config.json, where that came from, and the size of the tensors beside it."""

    name: str
    config: Mapping[str, Any]
    source: str
    checkpoint_bytes: int | None = None


def model_names() -> tuple[str, ...]:
    """Hub ids in the catalog; `org--name.json` holds `org/name`."""
    files = (path.name for path in _CONFIGS.glob("*.json") if not path.name.endswith(".hf_quant.json"))
    return tuple(sorted(name.removesuffix(".json").replace("--", "/", 1) for name in files))


def model_named(name: str) -> Model:
    """The catalog's model with this hub id, a SizingError with the nearest ids otherwise."""
    path = _CONFIGS / (name.replace("/", "--") + ".json")
    if path.is_file():
        sources = json.loads(_SOURCES.read_text(encoding="utf-8"))["sources"]
        return replace(model_from_config(path, name=name), source=sources.get(name, str(path)))
    near = difflib.get_close_matches(name, model_names(), n=3, cutoff=0.4)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise SizingError("model", f"{name!r} is neither in the catalog nor a config.json on this computer{hint}")


def model_from_config(config: Path | str | Mapping[str, Any], name: str | None = None) -> Model:
    """A model from a config.json (the file, or the folder that holds it) or from the mapping itself.

    A quantization file beside it (hf_quant_config.json, as ModelOpt writes) counts where config.json has none.
    """
    if isinstance(config, Mapping):
        return Model(name or "given config", MappingProxyType(dict(config)), "given")
    path = Path(config)
    path = path / "config.json" if path.is_dir() else path
    facts = _read_json(path)
    if "quantization_config" not in facts and (beside := _quantization_file(path)):
        facts["quantization_config"] = _read_json(beside)
    return Model(name or str(path), MappingProxyType(facts), str(path), checkpoint_bytes(path.parent))


def find_model(name_or_path: str) -> Model:
    """What `--model` means: a config.json or its folder where one exists, else a hub id of the catalog."""
    path = Path(name_or_path)
    if path.is_file() or (path / "config.json").is_file():
        return model_from_config(path)
    return model_named(name_or_path)


def _quantization_file(path: Path) -> Path | None:
    candidates = (path.with_name("hf_quant_config.json"), path.with_name(path.stem + ".hf_quant.json"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SizingError("model", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SizingError("model", f"{path} is not JSON: {error}") from None
    if not isinstance(facts, dict):
        raise SizingError("model", f"{path} must hold a JSON object")
    return facts
