"""What an operator reads about a broken spec: the table in broken_specs/, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.errors import SpecError
from infra.spec import parse

TABLES = Path(__file__).with_name("broken_specs")

SOUND_PARTS = {
    "name": "name: stage1\n",
    "workload": "workload: {topology: flat, agents: 5, workflows: 4, context_tokens: 2048}\n",
    "models": "models:\n  agent: {config: tiny-llama, weights: {generated: tiny-llama}}\n",
    "pools": "pools:\n  agents: {model: agent, role: agent}\n",
    "nodes": "nodes: {source: lab}\n",
}


@dataclass(frozen=True)
class Case:
    title: str
    text: str
    messages: tuple[str, ...]


def read_cases(table: Path) -> Iterator[Case]:
    for block in table.read_text(encoding="utf-8").split("=== ")[1:]:
        title, *lines = block.splitlines()
        text = "".join(f"{line}\n" for line in lines if not line.startswith("! ")).replace("␉", "\t")
        if not title.endswith("(whole file)"):
            given = re.findall(r"^(\w+):", text, re.MULTILINE)
            text += "".join(part for key, part in SOUND_PARTS.items() if key not in given)
        yield Case(title, text, tuple(line.removeprefix("! ") for line in lines if line.startswith("! ")))


def all_cases() -> list[Case]:
    return [case for table in sorted(TABLES.glob("*.txt")) for case in read_cases(table)]


def messages_of(text: str) -> tuple[str, ...]:
    with pytest.raises(SpecError) as caught:
        parse(text, "fleet.yaml")
    return tuple(str(problem).removeprefix("fleet.yaml:").lstrip() for problem in caught.value.problems)


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.title)
def test_every_mistake_is_named_with_its_line_and_its_remedy(case: Case) -> None:
    assert messages_of(case.text) == case.messages
