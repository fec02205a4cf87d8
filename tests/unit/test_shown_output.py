"""What README and the guide pages show of `fleet` is what it prints now; --update-golden writes it there."""

from __future__ import annotations

import re

import pytest

from support.shown import Block, blocks, current
from support.traces import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]


def test_the_pages_show_output() -> None:
    assert {block.page.name for block in BLOCKS} >= {"README.md", "sizing.md"}
    assert all(block.commands for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_what_its_commands_print(
    block: Block,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    printed = current(block, capsys, monkeypatch)
    if request.config.getoption("--update-golden"):
        page = block.page.read_text(encoding="utf-8")
        block.page.write_text(page.replace(f"\n{block.text}```", f"\n{printed}```"), encoding="utf-8")
    else:
        assert block.text == printed


def test_the_spec_in_the_readme_is_the_one_whose_plan_it_shows() -> None:
    (spec,) = re.findall(r"```yaml\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    assert spec == (ROOT / "docs" / "specs" / "research.fleet.yaml").read_text(encoding="utf-8")
