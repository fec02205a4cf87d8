"""`vllm serve` itself, of three families: its log line and its metric say what was planned."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from engine_cases import CPU, tiny
from engine_truth import Case, flags, plan

from infra.catalog.devices import device_named
from support.waiting import wait_until

FAMILIES = ("grouped-query", "gemma-3, one global layer", "nemotron-h")
_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}
_BARE = (
    "--load-format=dummy",
    "--skip-tokenizer-init",
    "--enforce-eager",
    "--distributed-executor-backend=uni",
)
_LOGGED = re.compile(
    r"CPU KV cache size: ([\d,]+) tokens, Maximum concurrency for [\d,]+ tokens per request: ([\d.]+)x"
)
_IN_METRICS = re.compile(r'vllm:cache_config_info{.*kv_cache_size_tokens="(\d+)"')


def test_the_log_and_the_metric_of_vllm_serve_say_what_was_planned(
    engine_python: Path, tmp_path: Path
) -> None:
    cases = [tiny(family) for family in FAMILIES]
    folders = [tmp_path / str(index) for index in range(len(cases))]
    with ThreadPoolExecutor(max_workers=2) as pool:
        said = list(pool.map(_serve, [engine_python] * len(cases), cases, folders))
    plans = [plan(case, device_named(CPU)) for case in cases]
    assert said == [(ours.tokens, f"{ours.concurrency:.2f}", ours.tokens) for ours in plans]


def _serve(python: Path, case: Case, folder: Path) -> tuple[int, str, int]:
    """Tokens and concurrency as logged, and tokens as in the metrics, of one engine from its start to its end."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(case.files["config.json"]))
    port = _free_port()
    given = [word for name, value in flags(case.settings).items() for word in (_flag(name), str(value))]
    words = [str(python.with_name("vllm")), "serve", str(folder), "--port", str(port), *_BARE, *given]
    # In a short folder of its own: vLLM leaves files there, and binds sockets whose names may not be long.
    with TemporaryDirectory() as scratch, _running(words, scratch) as engine:
        assert engine.stdout is not None
        lines: list[str] = []
        for line in engine.stdout:
            lines.append(line)
            if "Application startup complete" in line:
                break
        else:
            raise AssertionError("".join(lines[-30:]))
        logged = next(match for line in lines if (match := _LOGGED.search(line)))
        in_metrics = _IN_METRICS.search(_metrics(port))
    assert in_metrics is not None
    return int(logged[1].replace(",", "")), logged[2], int(in_metrics[1])


def _metrics(port: int) -> str:
    """The page of metrics, which is there a moment after the start-up is complete."""
    pages: list[str] = []

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page,
        ):
            pages.append(page.read().decode())
        return bool(pages)

    wait_until(answers, f"an engine that has started answers on port {port}")
    return pages[0]


@contextlib.contextmanager
def _running(words: list[str], scratch: str) -> Iterator[subprocess.Popen[str]]:
    """A process, and at the end the end of it and of all that it started."""
    with subprocess.Popen(
        ["nice", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **_ENVIRONMENT, "TMPDIR": scratch},
        start_new_session=True,
    ) as engine:
        try:
            yield engine
        finally:
            os.killpg(engine.pid, signal.SIGKILL)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
