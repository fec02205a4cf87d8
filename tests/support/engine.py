"""Scripts that the engine's own Python runs, because only that has vLLM."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
