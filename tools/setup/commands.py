"""Runs the commands of the set-up: output to a log, progress to the console, a failure as one sentence."""

from __future__ import annotations

import os
import queue
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tools.setup.console import Console
from tools.setup.errors import SetupError

EVIDENCE_LINES = 15
NETWORK_WORDS = (
    "could not resolve",
    "temporary failure in name resolution",
    "temporary failure resolving",
    "dns error",
    "no such host",
    "connection refused",
    "connection timed out",
    "network is unreachable",
    "i/o timeout",
    "error sending request",
    "failed to fetch",
    "tls handshake timeout",
)
NETWORK_ADVICE = (
    "a server could not be reached: check the network, set HTTPS_PROXY or the index your site uses "
    "(PIP_INDEX_URL, UV_DEFAULT_INDEX, GOPROXY, the apt sources), then run the same command again; "
    "what was downloaded is kept"
)


class Commands:
    """Runs programs for the step that is at work.

    `held` is the file descriptor of the set-up's lock. Children inherit it where they write into the cache, so that
    the lock stays taken until the last of them has ended, even when the set-up itself was killed.
    """

    def __init__(self, console: Console, logs: Path, held: int) -> None:
        self.console = console
        self._logs = logs
        self._held = held
        self._log_name = "set-up"
        logs.mkdir(parents=True, exist_ok=True)

    def log_to(self, name: str) -> None:
        """Starts a new log for the step `name`."""
        self._log_name = name
        self._log.unlink(missing_ok=True)

    def run(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        advice: str = "",
        inherit_lock: bool = True,
    ) -> str:
        """Runs a command and returns what it wrote, stdout and stderr together.

        `env` is added to the environment. Raises SetupError with the exit code, the last lines and `advice`.
        """
        try:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                text=True,
                errors="replace",
                pass_fds=(self._held,) if inherit_lock else (),
            )
        except OSError as error:
            raise SetupError(
                f"`{words[0]}` could not be started: {error.strerror}.", advice=advice
            ) from error
        output = self._follow(process, words)
        if process.returncode != 0:
            raise self._failure(words, process.returncode, output, advice)
        return output

    def run_privileged(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        advice: str = "",
        inherit_lock: bool = True,
    ) -> str:
        """Runs a command as root, directly or through sudo, and names it first."""
        self.console.say(f"    as root: {shlex.join(words)}")
        return self.run(as_root(words, env or {}), advice=advice, inherit_lock=inherit_lock)

    @property
    def _log(self) -> Path:
        return self._logs / f"{self._log_name}.log"

    def _follow(self, process: subprocess.Popen[str], words: Sequence[str]) -> str:
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process, lines), daemon=True).start()
        collected, last = [], ""
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {shlex.join(words)}\n")
            try:
                while True:
                    try:
                        line = lines.get(timeout=1.0)
                    except queue.Empty:
                        if process.poll() is not None:  # ended, but a daemon that it left keeps the pipe open
                            break
                        self.console.tick(last)
                        continue
                    if line is None:
                        break
                    log.write(line)
                    collected.append(line)
                    last = line if line.strip() else last
                    self.console.tick(last)
            except BaseException:
                with suppress(PermissionError):  # sudo passes our terminal's signals on by itself
                    process.terminate()
                process.wait()
                raise
        process.wait()
        return "".join(collected)

    def _failure(self, words: Sequence[str], code: int, output: str, advice: str) -> SetupError:
        evidence = deque((line for line in output.splitlines() if line.strip()), maxlen=EVIDENCE_LINES)
        lowered = output.lower()
        unreachable = any(word in lowered for word in NETWORK_WORDS)
        return SetupError(
            f"`{shlex.join(words)}` failed with exit code {code}; the whole output is in {self._log}.",
            evidence=evidence,
            advice=NETWORK_ADVICE
            if unreachable
            else advice or "mend what the lines above name and run it again",
        )


def as_root(words: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """The same command for root: as it is where we are root, else through sudo, which must not ask in the background.

    The variables go through `env`, because sudo drops the environment.
    """
    assignments = [f"{name}={value}" for name, value in env.items()]
    command = ["env", *assignments, *words] if assignments else list(words)
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") is None:
        raise SetupError(
            "This user is not root and there is no sudo: packages and lab nodes need root.",
            advice="run the same command as root, or install sudo and allow this user to use it",
        )
    return ["sudo", "--", *command]


def _pump(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None  # noqa: S101  # Popen was given a pipe
    for line in process.stdout:
        lines.put(line)
    lines.put(None)
