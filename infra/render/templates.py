"""The templates' texts. They hold layout alone: what they print was decided by the plan."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from infra.errors import RenderError

_FOLDER = Path(__file__).parents[2] / "templates"


def template_text(template: str, **values: Any) -> str:
    """The template at this path below templates/, filled. Raises RenderError where a value is missing."""
    try:
        return _templates().get_template(template).render(values)
    except TemplateError as error:
        raise RenderError(f"templates/{template}: {error}") from error


def static_texts(folder: str) -> dict[str, str]:
    """The files of this folder below templates/ that are used as they stand, by name."""
    return {path.name: path.read_text() for path in sorted((_FOLDER / folder).iterdir())}


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
