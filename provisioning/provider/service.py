"""`fleet:index:Service`: packages, files, units, artifacts, ready probes and gate of one program on one machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioning.converge import service as converging
from provisioning.converge.actual import Actual
from provisioning.converge.machine import Machine
from provisioning.converge.peers import Place
from provisioning.converge.secrets import complete_key, conceal
from provisioning.converge.version import Version
from provisioning.errors import Unfinished, Unreachable
from provisioning.properties import file_to_properties, peers_from_properties, service_from_properties
from provisioning.provider.forgetting import may_forget
from provisioning.provider.membership import leaving, membership, with_ring
from provisioning.provider.resource import Context, CreatedButFailed, Failure, Resource
from provisioning.provider.values import UNKNOWN, Properties, has_unknown
from provisioning.state import SECRET, Artifact, OnChange, RenderedFile

_PATH = re.compile(r"/[A-Za-z0-9._@:+/-]+")
_MODE = re.compile(r"0[0-7]{3}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")

_WAYS_IN = frozenset({"connection", "gateway"})
"""What a running program's numbers do not depend on."""


class ServiceResource(Resource):
    """A program on a machine."""

    replaced_by = frozenset({"stack", "name", "connection.address"})

    def identify(self, inputs: Properties) -> str:
        """`stack/machine/service`."""
        return f"{inputs['stack']}/{inputs['connection']['name']}/{inputs['name']}"

    def check(self, inputs: Properties) -> list[Failure]:
        """Paths, modes and secrets that could not be converged, before anything is touched."""
        failures = []
        if not isinstance(inputs.get("name"), str) or not _NAME.fullmatch(inputs["name"]):
            failures.append(Failure("name", "must be lower-case letters, digits, dots and dashes"))
        secrets = inputs.get("secrets", {})
        for path, file in inputs.get("files", {}).items():
            failures += _check_file(path, file, secrets)
        for path in [*inputs.get("directories", []), *inputs.get("artifacts", {})]:
            if not _PATH.fullmatch(path):
                failures.append(Failure("directories", f"{path!r} must be an absolute path without spaces"))
        for path, artifact in inputs.get("artifacts", {}).items():
            failures += _check_secrets(f'artifacts["{path}"].script', artifact.get("script", ""), secrets)
        return failures

    def foresee(self, inputs: Properties, old: Properties) -> Properties:
        """The inputs, and the gate's report: kept when nothing that it depends on changes."""
        same = {k: v for k, v in inputs.items() if k not in _WAYS_IN}.items() <= old.items()
        return {**inputs, "gate_report": old.get("gate_report") if same else _foreseen_report(inputs)}

    def create(self, inputs: Properties, context: Context) -> Properties:
        """Converge a machine that may already hold what a killed run left."""
        machine = self._machine(inputs, context, wait_s=15)
        try:
            member = membership(inputs, inputs, context)
            place = _place(inputs, machine, context)
            measured = converging.converge(machine, _version(inputs), member=member, place=place)
        except Unfinished as error:
            raise CreatedButFailed(str(error), _with_report(inputs, None)) from error
        return _with_report(inputs, measured)

    def read(self, old: Properties, context: Context) -> Properties | None:
        """What really stands there: edited, missing and extra files, units, packages and artifacts."""
        try:
            machine = self._machine(old, context)
        except Unreachable as error:
            context.warn(f"{error}\nthe files of {old['name']} are shown as they were last known")
            # A service nobody can reach serves nobody: once the machine is back, `up` waits until it is ready again.
            return {**old, "units": {name: {**unit, "active": False} for name, unit in old["units"].items()}}
        actual = converging.read(machine, service_from_properties(old))
        if not actual.files and not any(unit.active for unit in actual.units.values()):
            return None
        found = {**old, **_as_found(old, actual)}
        return _without_missed_gate(with_ring(found, context))

    def update(self, old: Properties, inputs: Properties, context: Context) -> Properties:
        """Converge to the new version, with the old one to go back to."""
        machine = self._machine(inputs, context)
        try:
            member = membership(old, inputs, context)
            place = _place(inputs, machine, context)
            measured = converging.converge(machine, _version(inputs), _version(old), member, place)
        except Unfinished as error:
            raise CreatedButFailed(str(error), _with_report(inputs, None)) from error
        return _with_report(inputs, measured)

    def delete(self, old: Properties, context: Context) -> None:
        """Take it away; a machine that is gone for good is forgotten when the operator says so."""
        try:
            machine = self._machine(old, context)
        except Unreachable as error:
            may_forget(old["connection"], error, context.warn)
            return
        converging.remove(machine, old["name"], leaving(old, context))

    def _machine(self, inputs: Properties, context: Context, wait_s: float = 0) -> Machine:
        connection = inputs["connection"]
        return Machine(
            host=connection["name"],
            shell=context.machines.connect(connection, inputs.get("password"), wait_s),
            lock=context.machines.lock(connection),
            stack=inputs["stack"],
            progress=context.progress,
            stopped=context.stopped,
        )


def _place(inputs: Properties, machine: Machine, context: Context) -> Place | None:
    """Its place among the servers that hold the same, None where it is the only one."""
    if not inputs.get("peers"):
        return None
    peers = peers_from_properties(inputs["peers"])
    return Place(machine, peers, context.rings.ring(peers.ring), context.warn)


def _check_file(path: str, file: Any, secrets: Any) -> list[Failure]:
    where = f'files["{path}"]'
    if has_unknown(file):
        return []
    failures = []
    if not _PATH.fullmatch(path) or "/../" in path:
        failures.append(Failure(where, "must be an absolute path without spaces"))
    if not _MODE.fullmatch(str(file.get("mode", ""))):
        failures.append(Failure(f"{where}.mode", 'must be four octal digits such as "0644"'))
    named = set(SECRET.findall(file.get("text", "")))
    if named and file.get("mode") != "0600":
        failures.append(Failure(f"{where}.mode", 'must be "0600": the file holds a secret'))
    return [*failures, *_check_secrets(f"{where}.text", file.get("text", ""), secrets)]


def _check_secrets(where: str, text: Any, secrets: Any) -> list[Failure]:
    if text is UNKNOWN or secrets is UNKNOWN:
        return []
    missing = sorted(set(SECRET.findall(text)) - set(secrets))
    return [Failure(where, f"asks for the secret {missing[0]}, which is not given")] if missing else []


def _version(properties: Properties) -> Version:
    return Version(service_from_properties(properties), properties.get("secrets") or {})


def _as_found(old: Properties, actual: Actual) -> Properties:
    """The old properties with everything that can drift as it was found."""
    expected, secrets = service_from_properties(old), old.get("secrets") or {}
    files = {}
    for path, found in actual.files.items():
        rendered = expected.files.get(path, RenderedFile("", on_change=OnChange.NOTHING))
        text = conceal(found.text, rendered, secrets)
        shown = replace(rendered, text=text, mode=found.mode, owner=found.owner, group=found.group)
        files[path] = file_to_properties(shown)
    return {
        "files": files,
        "units": {
            name: {**old["units"][name], "enabled": unit.enabled, "active": unit.active}
            for name, unit in actual.units.items()
            if name in expected.units
        },
        "packages": [name for name in expected.packages if name in actual.packages],
        "artifacts": {
            path: {**item, "key": _key_as_found(expected.artifacts[path], actual.artifacts[path], secrets)}
            for path, item in old["artifacts"].items()
            if path in actual.artifacts
        },
    }


def _key_as_found(wanted: Artifact, found: str, secrets: Mapping[str, str]) -> str:
    return wanted.key if found == complete_key(wanted, secrets) else found


def _without_missed_gate(properties: Properties) -> Properties:
    """A gate that was not passed is drift: a refresh clears Pulumi's own mark of a failed create, and it would pass."""
    report = properties.get("gate_report")
    missed = properties.get("gate") and (not report or report.get("measured") is None)
    return {**properties, "gate": None} if missed else properties


def _with_report(inputs: Properties, measured: int | None) -> Properties:
    gate = inputs.get("gate")
    if not gate:
        return {**inputs, "gate_report": None}
    return {
        **inputs,
        "gate_report": {"planned": gate["planned"], "measured": measured, "of": gate["unit_of_measure"]},
    }


def _foreseen_report(inputs: Properties) -> Any:
    gate = inputs.get("gate")
    return {"planned": gate["planned"], "measured": UNKNOWN, "of": gate["unit_of_measure"]} if gate else None
