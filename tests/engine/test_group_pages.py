"""The page rule is vLLM's: for every model of the catalog, blocks and tokens agree to the last one."""

from __future__ import annotations

from pathlib import Path

from support.engine import answers_of

SCRIPT = Path(__file__).with_name("group_pages.py")


def test_blocks_and_tokens_of_every_model_agree_with_vllm(engine_python: Path) -> None:
    cases = answers_of(engine_python, SCRIPT)
    assert len(cases) > 300
    assert sum("DCP 1," not in case["case"] for case in cases) > 20
    assert [case for case in cases if case["vllm"] != case["ours"]] == []
