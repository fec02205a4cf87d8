"""One command over one SSH session: feed it, drain its outputs, learn how it ended, all within a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import paramiko

_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Result:
    """How a command ended; outputs as text, with bytes that are not UTF-8 replaced."""

    exit_code: int
    stdout: str
    stderr: str


class TimeIsOver(Exception):
    """The command still ran, or its output was still open, when its time was over.

    `output` is what it had printed; `exit_code` is negative unless it had ended.
    """

    def __init__(self, output: str, exit_code: int) -> None:
        self.output = output
        self.exit_code = exit_code
        super().__init__(output)


class LinkLost(Exception):
    """The session ended without the command's exit status."""


def exchange(channel: paramiko.Channel, command: str, stdin: bytes, timeout_s: float) -> Result:
    """Runs `command` in the fresh `channel` and closes it.

    stdout and stderr are read at the same time and before the exit status: any other order hangs as soon as an
    output is larger than its window. Raises TimeIsOver and LinkLost.
    """
    outputs = bytearray(), bytearray()
    over = threading.Event()

    def end() -> None:
        over.set()
        channel.close()  # wakes everyone who waits on it

    watchdog = threading.Timer(timeout_s, end)
    watchdog.daemon = True
    feeder = threading.Thread(target=_feed, args=(channel, stdin), daemon=True)
    drainer = threading.Thread(target=_drain, args=(channel.recv_stderr, outputs[1]), daemon=True)
    exit_code = -1
    watchdog.start()
    try:
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            channel.exec_command(command)
            feeder.start()  # and not waited for: a command may end without having read everything
            drainer.start()
            _drain(channel.recv, outputs[0])
            drainer.join()
            exit_code = channel.recv_exit_status()  # -1 when the channel was closed before it came
    finally:
        watchdog.cancel()
        channel.close()
    stdout, stderr = (bytes(output).decode(errors="replace") for output in outputs)
    if over.is_set():
        raise TimeIsOver(stderr.strip() or stdout, exit_code)
    if exit_code < 0:
        raise LinkLost
    return Result(exit_code, stdout, stderr)


def _drain(receive: Callable[[int], bytes], output: bytearray) -> None:
    with contextlib.suppress(OSError, paramiko.SSHException):
        while data := receive(_CHUNK_BYTES):
            output += data


def _feed(channel: paramiko.Channel, data: bytes) -> None:
    """Sends everything; a command that ends or closes its stdin early is no error, as in a shell pipe."""
    with contextlib.suppress(OSError, paramiko.SSHException):
        for start in range(0, len(data), _CHUNK_BYTES):
            channel.sendall(data[start : start + _CHUNK_BYTES])
        channel.shutdown_write()
