"""The accuracy of `fleet size` on the shared start logs does not slip, and every larger miss is explained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import json

from score import BARS, COVERAGE_BAR, DATA, OUTSIDE_BAR, mean_of_setups, score

SCORES = score()


@pytest.mark.parametrize("part", BARS)
def test_the_mean_error_stays_below_its_bar(part):
    assert mean_of_setups(SCORES.sure, part) <= BARS[part]


def test_most_entries_are_answered_and_inside_their_interval():
    assert len(SCORES.rows) >= COVERAGE_BAR * (len(SCORES.rows) + len(SCORES.refused))
    inside = [row.inside for row in SCORES.rows if row.inside is not None]
    assert sum(inside) >= (1 - OUTSIDE_BAR) * len(inside)


def test_every_entry_that_misses_by_more_than_3_per_cent_has_a_reason():
    reasons = tuple(json.loads((DATA / "residuals.json").read_text())["reasons"])
    assert [
        row.entry["id"] for row in SCORES.rows if row.worst > 0.03 and not row.entry["id"].startswith(reasons)
    ] == []
