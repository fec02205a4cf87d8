"""Scripts that the engine's own Python runs, because only that has vLLM."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from provisioning.places import cache_dir

LIMIT_S = 500


def answers_of(python: Path, script: Path, questions: Iterable[Any] = ()) -> list[dict[str, Any]]:
    """The JSON objects that the script prints, one a line; the questions reach it likewise."""
    fed = "".join(json.dumps(question) + "\n" for question in questions)
    with TemporaryDirectory() as scratch:  # vLLM leaves things in it
        done = subprocess.run(
            [str(python), str(script)],
            input=fed,
            env={**os.environ, "HOME": scratch, "TMPDIR": scratch},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def kept_answers(
    python: Path, script: Path, questions: Sequence[Any], *, beside: Iterable[Path]
) -> list[dict[str, Any]]:
    """The same, asked once of each engine; `beside` are the files of ours that the script imports.

    For questions alone whose answers depend on nothing else. `make clean-cache` forgets them.
    """
    asked = [str(python.parents[1].resolve()), *map(Path.read_text, (script, *beside)), json.dumps(questions)]
    digest = hashlib.sha256("\0".join(asked).encode()).hexdigest()[:16]
    kept = cache_dir() / "answers" / f"{script.stem}-{digest}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(answers_of(python, script, questions)))
        partial.replace(kept)
    answers: list[dict[str, Any]] = json.loads(kept.read_text())
    return answers
