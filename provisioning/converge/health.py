"""Waiting until a service is ready, and the gate: does the running program report what the plan promised?"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from provisioning.converge.machine import Machine
from provisioning.converge.secrets import fill
from provisioning.converge.units import last_lines
from provisioning.errors import GateError, Interrupted, UnitError
from provisioning.ssh import Connection
from provisioning.state import Gate, Probe, Ready

POLL_S = 0.5
PROGRESS_S = 5
"""A line that only counts on comes this often: a log keeps every one of them."""


def wait_until_ready(machine: Machine, ready: Ready, secrets: Mapping[str, str]) -> None:
    """Return when every command succeeds and every probe answers.

    Raises UnitError with the unit's own last lines when it dies or the time is over, and Interrupted when the operator
    stops the run.
    """
    shell, unit, started_at = machine.shell, ready.unit, time.monotonic()
    first = _watch(shell, ready)
    pending: list[tuple[str, ...] | Probe] = [*ready.commands, *ready.probes]
    while True:
        answer = _answer(shell, pending[0], secrets) if pending else None
        now = _watch(shell, ready)
        waited_s = time.monotonic() - started_at
        if now.invocation != first.invocation or not now.state.startswith(("active", "reloading")):
            reason = f"stopped after {waited_s:.0f} s ({now.state})"
            raise UnitError(machine.host, unit, reason, last_lines(shell, unit, first.invocation))
        # An answer counts only when the unit itself listens: another program may have taken the port before it.
        if answer is None and now.listens:
            if not pending:
                return
            pending.pop(0)
            continue
        if waited_s > ready.timeout_s:
            problem = answer or "is answered by another program"
            reason = f"is not ready after {ready.timeout_s} s: {_name(pending[0])} {problem}"
            raise UnitError(machine.host, unit, reason, last_lines(shell, unit, first.invocation))
        if machine.stopped():
            raise Interrupted(machine.host, f"waiting for {unit}")
        machine.progress(f"{waited_s // PROGRESS_S * PROGRESS_S:.0f} s: {now.last_line[:120] or 'starting'}")
        time.sleep(POLL_S)


def pass_gate(machine: Machine, gate: Gate) -> int:
    """The measured number, when it is within the gate's tolerance of the planned one. Raises GateError otherwise."""
    page = machine.shell.run(["curl", "-sS", "--fail", "--max-time", "30", "--", gate.url]).stdout
    measured = read_sample_label(page, gate.metric, gate.label)
    if measured is None:
        message = f"{gate.url} shows no {gate.metric} with a label {gate.label}"
        raise GateError(machine.host, message, gate.advice)
    if abs(measured - gate.planned) > gate.tolerance * gate.planned:
        off = 100 * (measured - gate.planned) / gate.planned
        message = (
            f"the plan promised {gate.planned:,} {gate.unit_of_measure}, the engine reports {measured:,} "
            f"({off:+.1f} %, allowed {100 * gate.tolerance:g} %)"
        )
        raise GateError(machine.host, message, gate.advice)
    return measured


def read_sample_label(page: str, metric: str, label: str) -> int | None:
    """The whole number in `label` of the first sample of `metric` on a Prometheus page."""
    for line in page.splitlines():
        if line.startswith(metric + "{"):
            found = re.search(rf'[{{,]{re.escape(label)}="([0-9]+(?:\.[0-9]+)?)"', line)
            if found:
                return int(float(found[1]))
    return None


def _name(probe: tuple[str, ...] | Probe) -> str:
    return probe.url if isinstance(probe, Probe) else f"`{shlex.join(probe)}`"


def _answer(shell: Connection, probe: tuple[str, ...] | Probe, secrets: Mapping[str, str]) -> str | None:
    """None when the probe is answered as wanted, else what happened instead."""
    if isinstance(probe, Probe):
        return _ask(shell, probe, secrets)
    result = shell.run(probe, timeout_s=30, check=False)
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return f"fails ({said[-1] if said else f'exit {result.exit_code}'})" if result.exit_code else None


def _ask(shell: Connection, probe: Probe, secrets: Mapping[str, str]) -> str | None:
    """None when the probe is answered as wanted, else what happened instead."""
    settings = [f"url = {json.dumps(probe.url)}", f"max-time = {probe.timeout_s}"]
    settings += [f"cacert = {json.dumps(probe.ca)}"] if probe.ca else []
    settings += [f"header = {json.dumps(fill(f'{k}: {v}', secrets))}" for k, v in probe.headers.items()]
    if probe.body:
        settings += ['header = "Content-Type: application/json"', f"data = {json.dumps(probe.body)}"]
    # The settings go in by standard input: a header may hold a secret, and arguments can be read by everybody.
    words = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-"]
    result = shell.run(
        words, stdin="\n".join(settings).encode(), timeout_s=probe.timeout_s + 15.0, check=False
    )
    if result.stdout.strip() == str(probe.status):
        return None
    if result.exit_code:
        return f"does not answer ({result.stderr.strip().splitlines()[-1] if result.stderr.strip() else 'curl failed'})"
    return f"answers {result.stdout.strip()}, not {probe.status}"


@dataclass(frozen=True)
class _Look:
    """A unit at one moment; `listens` on the probed port, by a process of its own."""

    invocation: str
    state: str
    listens: bool
    last_line: str


def _watch(shell: Connection, ready: Ready) -> _Look:
    port = str(urlsplit(ready.probes[0].url).port or 80) if ready.probes else ""
    answer = shell.script(_WATCH, ready.unit, port, timeout_s=30).stdout.splitlines()
    invocation, active, sub, listens, last_line = [*answer, "", "", "", "", ""][:5]
    return _Look(invocation, f"{active} ({sub})", listens == "listens", last_line)


_WATCH = """# looking at a unit
systemctl show --value -p InvocationID -- "$1"
systemctl show --value -p ActiveState -- "$1"
systemctl show --value -p SubState -- "$1"
listens=no
[ -n "$2" ] || listens=listens
for pid in $(ss -Hltnp "sport = :$2" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u); do
    ! grep -qsF "/$1" "/proc/$pid/cgroup" || listens=listens
done
echo "$listens"
journalctl --quiet --no-pager --output=cat --lines=1 --unit="$1" 2>/dev/null || :
"""
