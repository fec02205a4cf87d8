"""Wanted states as Pulumi properties and back: the shape that a preview shows and the state file keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from provisioning.state import (
    Artifact,
    Gate,
    OnChange,
    Peers,
    Probe,
    Ready,
    RenderedFile,
    Rotation,
    ServiceState,
    Unit,
)


def service_to_properties(service: ServiceState) -> dict[str, Any]:
    """Plain dicts and lists; what is not set is left out, so that a later field changes no stack that lacks it."""
    properties = {
        **asdict(service),
        "files": {path: file_to_properties(file) for path, file in sorted(service.files.items())},
        "packages": list(service.packages),
        "directories": list(service.directories),
        # A map loses its order on the way to the provider, and what is brought later may need what came before it.
        "artifacts": {
            path: {**_artifact_to_properties(artifact), "order": order}
            for order, (path, artifact) in enumerate(service.artifacts.items())
        },
        "checks": [list(check) for check in service.checks],
        "units": {name: {**asdict(unit), "proof": list(unit.proof)} for name, unit in service.units.items()},
        "data_folders": list(service.data_folders) or None,
        "ready": _ready_to_properties(service.ready) if service.ready else None,
    }
    if service.rotation:
        rotation = asdict(service.rotation)
        properties["rotation"] = {**rotation, "command": list(service.rotation.command), "in_ring": True}
    if service.peers:
        properties["peers"] = {**asdict(service.peers), "command": list(service.peers.command)}
    return {key: value for key, value in properties.items() if value is not None}


def file_to_properties(file: RenderedFile) -> dict[str, str]:
    """One file; its text shows as a text diff in a preview."""
    return {
        "text": file.text,
        "mode": file.mode,
        "owner": file.owner,
        "group": file.group,
        "on_change": file.on_change.value,
    }


def service_from_properties(properties: Mapping[str, Any]) -> ServiceState:
    """The inverse of `service_to_properties`; keys of the resource that are not the service's are passed over."""
    ready, gate, rotation = (properties.get(key) for key in ("ready", "gate", "rotation"))
    return ServiceState(
        name=properties["name"],
        packages=tuple(properties["packages"]),
        files={path: _file(item) for path, item in properties["files"].items()},
        directories=tuple(properties["directories"]),
        artifacts=_artifacts(properties["artifacts"]),
        checks=tuple(tuple(check) for check in properties["checks"]),
        units={name: _unit(item) for name, item in properties["units"].items()},
        data_folders=tuple(properties.get("data_folders") or ()),
        ready=_ready(ready) if ready else None,
        gate=Gate(**{**gate, "tolerance": float(gate["tolerance"])}) if gate else None,
        rotation=rotation_from_properties(rotation) if rotation else None,
        peers=peers_from_properties(properties["peers"]) if properties.get("peers") else None,
    )


def peers_from_properties(item: Mapping[str, Any]) -> Peers:
    """The place among like servers alone."""
    return Peers(**{**item, "command": tuple(item["command"])})


def rotation_from_properties(item: Mapping[str, Any]) -> Rotation:
    """The place in a ring alone, without `in_ring`, which is what a refresh finds, and always wanted."""
    known = {key: value for key, value in item.items() if key != "in_ring"}
    return Rotation(**{**known, "command": tuple(item["command"])})


def _artifact_to_properties(artifact: Artifact) -> dict[str, Any]:
    known = asdict(artifact)
    made_from, on_change = known.pop("made_from"), known.pop("on_change")
    known |= {"made_from": list(made_from)} if made_from else {}
    return known | ({"on_change": on_change.value} if on_change is not OnChange.RESTART else {})


def _probe_to_properties(probe: Probe) -> dict[str, Any]:
    return {key: value for key, value in asdict(probe).items() if key != "ca" or value}


def _ready_to_properties(ready: Ready) -> dict[str, Any]:
    properties = {
        "unit": ready.unit,
        "probes": [_probe_to_properties(p) for p in ready.probes],
        "timeout_s": ready.timeout_s,
    }
    commands = [list(command) for command in ready.commands]
    return {**properties, **({"commands": commands} if commands else {})}


def _file(item: Mapping[str, str]) -> RenderedFile:
    return RenderedFile(**{**item, "on_change": OnChange(item["on_change"])})  # type: ignore[arg-type]


def _artifacts(items: Mapping[str, Mapping[str, Any]]) -> dict[str, Artifact]:
    in_order = sorted(items.items(), key=lambda entry: entry[1]["order"])
    return {path: _artifact(item) for path, item in in_order}


def _artifact(item: Mapping[str, Any]) -> Artifact:
    known = {key: value for key, value in item.items() if key != "order"}
    made_from, on_change = tuple(known.pop("made_from", ())), known.pop("on_change", OnChange.RESTART)
    return Artifact(**known, made_from=made_from, on_change=OnChange(on_change))


def _unit(item: Mapping[str, Any]) -> Unit:
    return Unit(**{**item, "proof": tuple(item["proof"])})


def _ready(item: Mapping[str, Any]) -> Ready:
    probes = tuple(Probe(**probe) for probe in item["probes"])
    commands = tuple(tuple(command) for command in item.get("commands") or ())
    return Ready(item["unit"], probes, item["timeout_s"], commands)
