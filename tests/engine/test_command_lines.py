"""Every command line that the examples render is taken by the real vLLM's own argument parser."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from support.engine import answers_of
from support.rendered import SPECS, name_of, planned, rendered

PARSER = Path(__file__).with_name("parse_lines.py")


def exec_starts(spec: Path) -> dict[str, list[str]]:
    """Unit to the words of its command line after the program, read back from the unit's text."""
    found = {}
    for path, text in rendered(spec).items():
        if match := re.search(r"^ExecStart=(\S+/vllm (?:.*\\\n)*.*)$", text, re.MULTILINE):
            words = shlex.split(match[1].replace("\\\n", " "))
            found[path] = [word.replace("%%", "%").replace("$$", "$") for word in words[1:]]
    return found


def test_the_real_parser_takes_every_rendered_command_line_and_refuses_what_it_should(
    engine_python: Path,
) -> None:
    lines = {f"{name_of(spec)}/{unit}": words for spec in SPECS for unit, words in exec_starts(spec).items()}
    assert len(lines) == sum(len(planned(spec).replicas) for spec in SPECS)
    wrong = ["serve", "/m", "--max-model-length-of-all", "8192"]

    *answers, refused = answers_of(engine_python, PARSER, [*lines.values(), wrong])

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
