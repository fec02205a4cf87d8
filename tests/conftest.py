"""Options and settings that all tests share; what they can ask for is in support/fixtures.py."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

pytest_plugins = ["support.fixtures", "support.leftovers"]

# A busy computer is no failure; in a pipeline the same examples come every time.
settings.register_profile("tests", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite golden files and shown output from what comes out now",
    )
