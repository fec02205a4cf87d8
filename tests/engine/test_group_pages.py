"""The page rule is vLLM's: for every model of the catalog, blocks and tokens agree to the last one."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from provisioning.places import cache_dir

pytestmark = pytest.mark.engine


def test_blocks_and_tokens_of_every_model_agree_with_vllm():
    python = cache_dir() / "ready" / "engine" / "bin" / "python"
    if not python.exists():
        reason = f"there is no engine at {python}: run `make setup`"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    script = Path(__file__).with_name("group_pages.py")
    done = subprocess.run(
        [str(python), str(script)], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cases = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(cases) > 300
    assert [case for case in cases if case["vllm"] != case["ours"]] == []
