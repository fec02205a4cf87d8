"""What Pulumi keeps of a stack: its outputs and its settings, asked of the CLI in the current folder."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from provisioning.errors import ProvisioningError

TIMEOUT_S = 60


class StackError(ProvisioningError):
    """A stack that Pulumi does not know or cannot read."""


def read_outputs(stack: str) -> dict[str, Any]:
    """The outputs of the stack's last good update; secret ones as `[secret]`. Raises StackError."""
    outputs: dict[str, Any] = json.loads(_pulumi(stack, "stack", "output", "--json"))
    return outputs


def read_setting(stack: str, name: str) -> str:
    """One setting of the stack, decrypted. Raises StackError, also when it is not set."""
    return _pulumi(stack, "config", "get", name).rstrip("\n")


def _pulumi(stack: str, *words: str) -> str:
    command = ["pulumi", "--non-interactive", *words, "--stack", stack]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except FileNotFoundError:
        message = (
            "there is no pulumi on the PATH; run the same through tools/run, which knows this computer's own"
        )
        raise StackError(f"stack {stack}: {message}") from None
    except subprocess.TimeoutExpired:
        message = (
            f"pulumi did not answer within {TIMEOUT_S} s; look at its backend with `pulumi whoami --verbose`"
        )
        raise StackError(f"stack {stack}: {message}") from None
    if ended.returncode:
        raise StackError(f"stack {stack}: pulumi cannot read it: {_complaint(ended.stderr or ended.stdout)}")
    return ended.stdout


def _complaint(said: str) -> str:
    """Pulumi's sentence without its marks, and what it may be for want of."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|<\{%.*?%\}>", "", line).strip() for line in said.splitlines()]
    first = next((line for line in lines if line), "it said nothing")
    advice = (
        "`tools/run pulumi stack ls` lists the stacks of this computer, `tools/run fleet …` asks its backend"
    )
    return f"{first.removeprefix('error:').strip()} ({advice})"
