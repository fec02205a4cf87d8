"""docs/sizing.md shows what the command prints, and names files that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from infra.cli.size import run_size

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ fleet size (.*)\n((?:.*\n)*?)```", PAGE)


def test_there_are_examples():
    assert len(EXAMPLES) == PAGE.count("$ fleet size") > 0


@pytest.mark.parametrize(("flags", "shown"), EXAMPLES)
def test_an_example_is_what_the_command_prints(capsys, flags, shown):
    run_size(shlex.split(flags))
    printed = capsys.readouterr()
    assert printed.out + printed.err == shown


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|infra)/[\w./]+\.\w+)`", PAGE))))
def test_a_file_that_is_named_exists(path):
    assert (ROOT / path).is_file()
