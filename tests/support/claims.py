"""Names and networks that nobody else on this computer uses: no other worker and no other run of the tests.

A claim is an abstract Unix socket. The kernel takes it back when its process ends, however that ends, and each network
namespace has its own, as it has its own bridges: so a name that nobody claims was abandoned.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from infra.plan.nodes import lab_network
from provisioning import lab
from provisioning.errors import LabError
from provisioning.lab import neighbours
from provisioning.lab.folders import recorded_stacks
from provisioning.lab.local import run

ATTEMPTS = 1000
_TEST_STACK = re.compile(r"test-[0-9a-f]{8}")

given_names: list[str] = []
"""Every name that this process has claimed so far."""


@contextmanager
def claimed_name() -> Iterator[str]:
    """A stack's name whose default network is free, both kept from others until the block ends."""
    addresses, routes = _ip("-4", "address", "show"), _ip("-4", "route", "show", "table", "all")
    for _ in range(ATTEMPTS):
        name = f"test-{secrets.token_hex(4)}"
        network = lab_network(name)
        if neighbours.user_of(network, "", addresses, routes, {}):
            continue
        with ExitStack() as held:
            if all(held.enter_context(_claim(thing)) for thing in (name, str(network))):
                given_names.append(name)
                yield name
                return
    raise AssertionError(f"no free network for a test's stack in {ATTEMPTS} attempts: see `ip route`")


def sweep_abandoned() -> None:
    """Sweeps the stacks of test runs that were killed, and nobody else's."""
    for stack in {*recorded_stacks(), *_stacks_with_a_bridge()}:
        if _TEST_STACK.fullmatch(stack):
            with _claim(stack) as ours:
                if ours:
                    lab.sweep(stack)


@contextmanager
def _claim(thing: str) -> Iterator[bool]:
    """Whether it is ours until the block ends."""
    with socket.socket(socket.AF_UNIX) as holder:
        try:
            holder.bind(f"\0agentfleet test {thing}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            yield False
        else:
            yield True


def _stacks_with_a_bridge() -> set[str]:
    return {note.stack for note in neighbours.lab_bridges(_ip("link", "show")).values()}


def _ip(*words: str) -> list[dict[str, Any]]:
    """What `ip -j` shows; nothing on a computer without it, which has no lab nodes either."""
    try:
        listing: list[dict[str, Any]] = json.loads(run(["ip", "-j", *words]).stdout or "[]")
    except LabError:
        return []
    return listing
