"""Scripts that the engine's own Python runs, because only that has vLLM."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LIMIT_S = 500


def answers_of(python: Path, script: Path, questions: Iterable[Any] = ()) -> list[dict[str, Any]]:
    """The JSON objects that the script prints, one a line; the questions reach it likewise."""
    fed = "".join(json.dumps(question) + "\n" for question in questions)
    done = subprocess.run(
        [str(python), str(script)], input=fed, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
