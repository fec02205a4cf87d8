"""Every command line that the examples render is taken by the real vLLM's own argument parser."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning.places import cache_dir

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))

from rendered import SPECS, name_of, planned, rendered

pytestmark = pytest.mark.engine

Parse = Callable[[list[list[str]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def parse() -> Parse:
    """Command lines without `vllm` itself, through one process of the engine's own Python."""
    python = cache_dir() / "ready" / "engine" / "bin" / "python"
    if not python.exists():
        reason = f"there is no engine at {python}: run `make setup`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def run(lines: list[list[str]]) -> list[dict[str, Any]]:
        script = Path(__file__).with_name("parse_lines.py")
        done = subprocess.run(
            [str(python), str(script)],
            input="".join(json.dumps(line) + "\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def exec_starts(spec: Path) -> dict[str, list[str]]:
    """Unit to the words of its command line after the program, read back from the unit's text."""
    found = {}
    for path, text in rendered(spec).items():
        if match := re.search(r"^ExecStart=(\S+/vllm (?:.*\\\n)*.*)$", text, re.MULTILINE):
            words = shlex.split(match[1].replace("\\\n", " "))
            found[path] = [word.replace("%%", "%").replace("$$", "$") for word in words[1:]]
    return found


def test_the_real_parser_takes_every_rendered_command_line_and_refuses_what_it_should(parse: Parse) -> None:
    lines = {f"{name_of(spec)}/{unit}": words for spec in SPECS for unit, words in exec_starts(spec).items()}
    assert len(lines) == sum(len(planned(spec).replicas) for spec in SPECS)
    wrong = ["serve", "/m", "--max-model-length-of-all", "8192"]

    *answers, refused = parse([*lines.values(), wrong])

    assert {unit: answer["error"] for unit, answer in zip(lines, answers, strict=True)} == dict.fromkeys(
        lines, ""
    )
    assert "unrecognized arguments" in refused["error"]
    for unit, answer in zip(lines, answers, strict=True):
        words, settings = lines[unit], answer["settings"]
        assert settings["max_num_seqs"] == int(words[words.index("--max-num-seqs") + 1]), unit
        assert settings["max_model_len"] == int(words[words.index("--max-model-len") + 1]), unit
    by_unit = {Path(unit).name: answer["settings"] for unit, answer in zip(lines, answers, strict=True)}
    assert by_unit["agentfleet-pipeline-write-0.service"]["override_generation_config"] == {
        "temperature": 0.2,
        "stop": ["50%", "$"],
    }
    assert by_unit["agentfleet-hierarchical-planners-0.service"]["tensor_parallel_size"] == 2
    assert by_unit["agentfleet-stage1-agents-0.service"]["kv_cache_memory_bytes"] == 64 << 20
