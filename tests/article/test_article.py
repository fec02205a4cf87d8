"""Every figure of the sizing article of March 2026: our value, and what becomes of the claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from article_claims import Claim, Verdict
from article_page import COMMAND, all_claims, fleets_table, page

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "article.md"
SIZING = DOCS / "sizing.md"
FLEETS_TABLE = re.compile(r"(?<=<!-- fleets -->\n\n).*?(?=\n\n<!-- /fleets -->)", re.DOTALL)
CLAIMS = tuple(all_claims())


def name_of(claim: Claim) -> str:
    return f"{claim.says} [{claim.stated.text}]"


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.ours], ids=name_of)
def test_our_value_is_the_one_that_was_reviewed(claim: Claim) -> None:
    assert claim.ours is not None
    assert claim.ours.value == pytest.approx(claim.ours.reviewed, rel=claim.ours.drift, abs=0)


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.ours], ids=name_of)
def test_the_verdict_follows_from_the_two_figures(claim: Claim) -> None:
    assert claim.ours is not None
    holds = claim.stated.holds(claim.ours.value)
    assert holds == (claim.verdict is Verdict.REPRODUCES)


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if not claim.ours], ids=name_of)
def test_a_claim_without_our_value_is_rejected_in_kind_or_left_open(claim: Claim) -> None:
    assert claim.verdict in {Verdict.REJECTS, Verdict.UNDECIDED}


def test_claims_are_told_apart_and_give_a_reason() -> None:
    assert len({name_of(claim) for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.says and claim.why and claim.stated.text for claim in CLAIMS)


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), f"docs/article.md is out of date: run {COMMAND}"


def test_the_table_of_fleets_in_the_sizing_page_is_current(request: pytest.FixtureRequest) -> None:
    text = SIZING.read_text(encoding="utf-8")
    if request.config.getoption("--update-golden"):
        text = FLEETS_TABLE.sub(lambda _: fleets_table(), text)
        SIZING.write_text(text, encoding="utf-8")
    assert FLEETS_TABLE.findall(text) == [fleets_table()], f"docs/sizing.md is out of date: run {COMMAND}"
