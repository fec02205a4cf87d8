"""`fleet:index:LabNode`: a throw-away machine on this computer, provisioned like any other."""

from __future__ import annotations

from typing import Any

from provisioning import lab
from provisioning.errors import LabError
from provisioning.provider.resource import Context, CreatedButFailed, Failure, Resource
from provisioning.provider.values import UNKNOWN, Properties, has_unknown


class LabNodeResource(Resource):
    """A lab node. Its `connection` output is what a Host takes as its `access`."""

    replaced_by = frozenset({"stack", "name", "network", "address"})

    def identify(self, inputs: Properties) -> str:
        """`stack/node`."""
        return f"{inputs['stack']}/{inputs['name']}"

    def check(self, inputs: Properties) -> list[Failure]:
        """What the lab itself refuses about names, networks and binds."""
        if has_unknown(inputs):
            return []
        try:
            _state(inputs)
        except LabError as error:
            return [Failure("name", str(error))]
        return []

    def foresee(self, inputs: Properties, old: Properties) -> Properties:
        """The host key is made with the machine."""
        return {**inputs, "connection": old.get("connection", UNKNOWN)}

    def create(self, inputs: Properties, context: Context) -> Properties:
        """Boot it, or adopt it when a killed run left it. One that was made but does not answer is kept, to be seen."""
        state = _state(inputs)
        try:
            facts = lab.start(state, context.progress)
        except LabError as error:
            if made := lab.read(state):
                raise CreatedButFailed(str(error), _found(inputs, made)) from error
            raise
        return _found(inputs, facts)

    def read(self, old: Properties, context: Context) -> Properties | None:
        """None when it is gone; one that died is there, but not running."""
        context.progress("looking for the node")
        facts = lab.read(_state(old))
        if facts is None:
            return None
        return _found(old, facts)

    def update(self, old: Properties, inputs: Properties, context: Context) -> Properties:
        """Boot it again, with its disk."""
        del old
        return self.create(inputs, context)

    def delete(self, old: Properties, context: Context) -> None:
        """Leave nothing of it."""
        context.progress("removing the node")
        lab.remove(_state(old))


def _state(properties: Properties) -> lab.LabNodeState:
    return lab.LabNodeState(
        stack=properties["stack"],
        name=properties["name"],
        network=properties["network"],
        address=properties["address"],
        binds=properties["binds"],
    )


def _found(properties: Properties, facts: lab.LabNodeFacts) -> Properties:
    return {**properties, "running": facts.running, "connection": _connection(properties, facts)}


def _connection(properties: Properties, facts: lab.LabNodeFacts) -> dict[str, Any]:
    """`ephemeral`: the machine goes with the stack, so a dead one holds nothing that has to be cleaned up."""
    return {
        "name": properties["name"],
        "address": facts.address,
        "port": facts.port,
        "user": facts.user,
        "host_key": facts.host_key,
        "identity_file": facts.identity_file,
        "ephemeral": True,
    }
