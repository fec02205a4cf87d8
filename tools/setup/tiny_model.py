"""The tiny model: random weights of a real architecture, so that the real engine can be started in the lab."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.setup.cache import built_beside, key_of, point, points_to
from tools.setup.commands import Commands
from tools.setup.engine import Engine
from tools.setup.step import Places, Step


@dataclass(frozen=True)
class TinyModel(Step):
    """Makes `<cache>/models/tiny-llama-<key>` from the catalog's configuration, with the engine's own Python."""

    places: Places
    engine: Engine

    name = "tiny model"
    why = "random weights and a tokenizer, written here (13 MB), and what vLLM finds out about them"
    needs_bytes = 50 << 20

    def is_done(self) -> bool:
        """The model of today's key is complete and current."""
        return points_to(self.places.cache, "tiny-model", self.home)

    def run(self, commands: Commands) -> None:
        """Writes the model folder."""
        if not self.home.is_dir():
            with built_beside(self.home) as partial:
                commands.run([str(self.engine.python), str(self._generator), str(self._config), str(partial)])
        point(self.places.cache, "tiny-model", self.home)

    @property
    def home(self) -> Path:
        """The complete model folder, whether it exists or not."""
        return self.places.cache / "models" / f"tiny-llama-{self._key}"

    @property
    def _generator(self) -> Path:
        return self.places.repo / "tools" / "engine" / "write_tiny_model.py"

    @property
    def _config(self) -> Path:
        """The catalog's own file, so that the planner and the engine read the same numbers."""
        return self.places.repo / "infra" / "catalog" / "configs" / "tiny-llama.json"

    @cached_property
    def _key(self) -> str:
        return key_of(["tiny-llama", self.engine.version], [self._generator, self._config])
