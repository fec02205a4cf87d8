"""Rules about the models of a spec."""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import NodeSource


def weights_have_one_source(spec: FleetSpec) -> Iterator[Fault]:
    """Exactly one of hub, path and generated."""
    for key, model in spec.models.items():
        given = [name for name in ("hub", "path", "generated") if getattr(model.weights, name) is not None]
        path = ("models", key, "weights")
        if not given:
            yield Fault(path, "names no source: give one of hub, path and generated")
        elif len(given) > 1:
            yield Fault(path, f"names {len(given)} sources, {' and '.join(given)}: keep one")


def hub_weights_are_pinned(spec: FleetSpec) -> Iterator[Fault]:
    """A revision for weights of the hub, so that a replica added later serves the same model."""
    for key, model in spec.models.items():
        weights, path = model.weights, ("models", key, "weights")
        if weights.hub is not None and weights.revision is None:
            yield Fault(
                path,
                "hub needs a revision, so that a later replica serves the same weights: give a commit or a tag",
            )


def only_the_hub_has_settings(spec: FleetSpec) -> Iterator[Fault]:
    """Weights from elsewhere have no revision, token or endpoint."""
    for key, model in spec.models.items():
        for name in ("revision", "token_config", "endpoint"):
            if model.weights.hub is None and getattr(model.weights, name) is not None:
                yield Fault(("models", key, "weights", name), "goes with hub only: remove it")


def generated_weights_stay_in_the_lab(spec: FleetSpec) -> Iterator[Fault]:
    """Random weights answer with noise: for lab nodes only, and only under their own config."""
    for key, model in spec.models.items():
        generated, path = model.weights.generated, ("models", key)
        if generated is None:
            continue
        if spec.nodes.source is not NodeSource.LAB:
            yield Fault(
                (*path, "weights", "generated"),
                "random weights are for lab nodes only: give hub and revision, or path",
            )
        if model.config != generated:
            yield Fault(
                (*path, "config"),
                f"does not match the generated weights: write {generated}, not {model.config}",
            )


def clients_can_tell_models_apart(spec: FleetSpec) -> Iterator[Fault]:
    """No two models under one served name."""
    seen: dict[str, str] = {}
    for key, model in spec.models.items():
        name = model.served_name or key
        if name in seen:
            path = ("models", key, "served_name") if model.served_name else ("models", key)
            yield Fault(
                path, f"is served as {name}, like models.{seen[name]}: give one a served_name of its own"
            )
        seen.setdefault(name, key)
