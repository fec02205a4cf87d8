"""What a machine should hold: the values that the plan's renderer makes and the provider converges to.

Pure data. The same shapes travel as Pulumi properties, so a preview shows the text of every file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SECRET = re.compile(r"\$\{secret:([A-Za-z][A-Za-z0-9_-]*)\}")
"""A place in a rendered text that the provider fills on the machine: the text itself never holds a secret.

Its name is that of a secret in the stack's settings.
"""


class OnChange(StrEnum):
    """What a changed file asks of the service's units."""

    RESTART = "restart"
    RELOAD = "reload"
    NOTHING = "nothing"


@dataclass(frozen=True)
class RenderedFile:
    """One file on a machine, byte for byte, but for its `${secret:name}` places."""

    text: str
    mode: str = "0644"
    owner: str = "root"
    group: str = "root"
    on_change: OnChange = OnChange.RESTART

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that the text asks for."""
        return frozenset(SECRET.findall(self.text))


@dataclass(frozen=True)
class Unit:
    """A systemd unit's wanted state.

    `proof` is a command that succeeds while the unit's work stands: a table of the firewall is flushed behind the back
    of systemd, which goes on calling the unit that loaded it active.
    """

    enabled: bool = True
    active: bool = True
    proof: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A large folder that a script brings to a machine: an engine's environment, a model's weights.

    The folder is complete when its `.agentfleet-complete` file holds `key`. A folder that is complete before we came (a
    read-only bind of a lab node, an operator's own store) is used and never removed.
    Another key belongs into another folder, so that what runs from the old one is not disturbed.
    `uploads` maps a file name beside the script to a file of this repository that is sent along. A script whose last
    line begins with "problem: " has said there what went wrong.
    `made_from` names secrets of which another value makes the folder anew, in its place, and `on_change` says what
    that asks of the service's units.
    """

    key: str
    title: str
    script: str
    uploads: Mapping[str, str] = field(default_factory=dict)
    timeout_s: int = 3600
    made_from: tuple[str, ...] = ()
    on_change: OnChange = OnChange.RESTART

    @property
    def secrets(self) -> frozenset[str]:
        """Names of the secrets that the script asks for."""
        return frozenset(SECRET.findall(self.script))


@dataclass(frozen=True)
class Probe:
    """One HTTP request made on the machine itself; ready when it answers with `status`.

    `ca` is the path there of the CA's certificate that an https URL is checked with; empty: the machine's own CAs.
    """

    url: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    timeout_s: int = 30
    ca: str = ""


@dataclass(frozen=True)
class Ready:
    """When a service counts as ready: every probe in order, while `unit` stays alive, within `timeout_s`.

    `commands` come before the probes: each is run as root on the machine until it succeeds.
    """

    unit: str
    probes: tuple[Probe, ...]
    timeout_s: int
    commands: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Gate:
    """A number that the running program reports, held against the plan's.

    `metric` and `label` name a sample of a Prometheus page, such as vllm:cache_config_info and kv_cache_size_tokens.
    `tolerance` is the allowed share of `planned` in either direction; 0 asks for equality.
    """

    url: str
    metric: str
    label: str
    planned: int
    tolerance: float
    unit_of_measure: str
    advice: str


@dataclass(frozen=True)
class Rotation:
    """The service's place in a gateway's ring, which it leaves before it is disturbed and enters when it is ready.

    Of the members of `ring` one at a time is disturbed; `member` is this one's name. `command` is run on the gateway's
    machine: `out MEMBER BY`, `in MEMBER ADDRESS BY`, `in-flight MEMBER`, `status`; it ends with 3 when no gateway runs
    there, or none that knows the member. `address` is HOST:PORT. What is in flight after `drain_timeout_s` is cut.
    """

    ring: str
    member: str
    address: str
    command: tuple[str, ...]
    drain_timeout_s: int


@dataclass(frozen=True)
class Peers:
    """Servers that hold the same, each on a machine of its own: of those of `ring` one at a time is disturbed.

    `member` is this one's name. `command` is run on its own machine until it ends with 0: with `leave` before the
    server is disturbed, 0 when the others can do without it and 3 when they have nothing to go on with; with `back`
    afterwards, 0 when it is one of them again and 2 while it still copies. It prints what is not so yet.
    """

    ring: str
    member: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class ServiceState:
    """One program on one machine: everything that it needs there and nothing else.

    `directories` belong to the service alone: a file in one that is not in `files` is drift and is removed.
    `checks` are the program's own checkers, run after the files are in place and before a unit is touched.
    `packages` are the distribution's; those that were not installed before are removed with the service.
    `data_folders` hold what nobody else has: while one is not empty, only the operator's word removes the service.
    """

    name: str
    packages: tuple[str, ...] = ()
    files: Mapping[str, RenderedFile] = field(default_factory=dict)
    directories: tuple[str, ...] = ()
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    checks: tuple[tuple[str, ...], ...] = ()
    units: Mapping[str, Unit] = field(default_factory=dict)
    data_folders: tuple[str, ...] = ()
    ready: Ready | None = None
    gate: Gate | None = None
    rotation: Rotation | None = None
    peers: Peers | None = None

    @property
    def secrets(self) -> frozenset[str]:
        """Names of all secrets that its files and artifacts ask for."""
        asking: tuple[RenderedFile | Artifact, ...] = (*self.files.values(), *self.artifacts.values())
        return frozenset(name for item in asking for name in item.secrets)
