"""The difference between wanted and found, as the list of things to do. Pure: the table of the tests reads like it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields

from provisioning.converge.actual import Actual, ActualUnit
from provisioning.converge.record import ServiceRecord, Started
from provisioning.converge.secrets import complete_key, fill
from provisioning.state import OnChange, RenderedFile, ServiceState, Unit

_VERBS = ("enable", "disable", "stop", "start", "restart", "reload")


@dataclass(frozen=True)
class Changes:
    """What has to be done, in the order in which it is done. Nothing here means nothing to do."""

    packages: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    drop_units: tuple[str, ...] = ()
    put: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return any(getattr(self, item.name) for item in fields(self))

    @property
    def touches_files(self) -> bool:
        """Whether a file's content comes or goes, so that checkers and systemd have to look again."""
        return bool(self.put or self.remove)

    @property
    def touches_units(self) -> bool:
        """Whether a process starts or ends, which a reload does not do."""
        return bool(self.drop_units or self.stop or self.start or self.restart)

    def disturbs(self, actual: Actual) -> bool:
        """Whether a unit that runs now is stopped, for good or for a moment."""
        ended = (*self.drop_units, *self.stop, *self.restart)
        return any(name in actual.units and actual.units[name].active for name in ended)


def find_changes(
    expected: ServiceState, actual: Actual, record: ServiceRecord, secrets: Mapping[str, str]
) -> Changes:
    """Compare and decide; `record` says what an earlier version of this service left on the machine."""
    wanted = {path: fill(file.text, secrets) for path, file in expected.files.items()}
    put = tuple(path for path in sorted(wanted) if not _same_text(actual, path, wanted[path]))
    attributes = tuple(
        path
        for path, file in sorted(expected.files.items())
        if path not in put and not _same_attributes(actual, path, file)
    )
    unwanted = ({*record.files} | {*actual.files}) - {*expected.files}
    gone_units = tuple(sorted({*record.units} - {*expected.units}))
    verbs: dict[str, list[str]] = {verb: [] for verb in _VERBS}
    brought = _incomplete(expected, actual, secrets)
    edited = {expected.files[path].on_change for path in put}
    # One that asks for a restart has its key in the digest: brought again with nothing new in it, it restarts nobody.
    edited |= {expected.artifacts[path].on_change for path in brought} - {OnChange.RESTART}
    digest = restart_digest(expected, secrets)
    for name, unit in expected.units.items():
        found = actual.units.get(name, ActualUnit())
        if unit.enabled != found.enabled:
            verbs["enable" if unit.enabled else "disable"].append(name)
        if verb := _unit_verb(unit, found, record.started.get(name), digest, edited):
            verbs[verb].append(name)
    return Changes(
        packages=tuple(p for p in expected.packages if p not in actual.packages),
        artifacts=brought,
        drop_units=gone_units,
        put=put,
        attributes=attributes,
        remove=tuple(sorted(unwanted)),
        **{verb: tuple(names) for verb, names in verbs.items()},
    )


def restart_digest(expected: ServiceState, secrets: Mapping[str, str]) -> str:
    """Digest of all that a running unit was started with."""
    parts = [
        f"{path}\0{fill(file.text, secrets)}\0"
        for path, file in sorted(expected.files.items())
        if file.on_change is OnChange.RESTART
    ]
    parts += [
        f"{path}\0{complete_key(artifact, secrets)}\0"
        for path, artifact in sorted(expected.artifacts.items())
        if artifact.on_change is OnChange.RESTART
    ]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _incomplete(expected: ServiceState, actual: Actual, secrets: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        path
        for path, artifact in expected.artifacts.items()
        if actual.artifacts.get(path) != complete_key(artifact, secrets)
    )


def _unit_verb(
    unit: Unit, found: ActualUnit, started: Started | None, digest: str, edited: set[OnChange]
) -> str | None:
    if not unit.active:
        return "stop" if found.active or found.failed else None
    if not found.active:  # systemd would do nothing about a start of what it calls active
        return "restart" if found.state.startswith("active") else "start"
    if started is None or started.digest != digest:
        return "restart"
    # The same digest and the same invocation: the process runs what is wanted, however its files were edited since.
    if OnChange.RESTART in edited and started.invocation != found.invocation:
        return "restart"
    return "reload" if OnChange.RELOAD in edited else None


def _same_text(actual: Actual, path: str, text: str) -> bool:
    return path in actual.files and actual.files[path].text == text


def _same_attributes(actual: Actual, path: str, file: RenderedFile) -> bool:
    found = actual.files[path]
    return (found.mode, found.owner, found.group) == (file.mode, file.owner, file.group)
