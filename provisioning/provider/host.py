"""`fleet:index:Host`: a machine reached by SSH, its key pinned, checked against what the plan needs of it."""

from __future__ import annotations

from typing import Any

from provisioning.converge import service as converging
from provisioning.converge.machine import Machine
from provisioning.errors import HostError, Unreachable
from provisioning.facts import HostFacts, facts_to_properties, read_facts, unmet
from provisioning.provider.forgetting import may_forget
from provisioning.provider.resource import Context, CreatedButFailed, Failure, Resource
from provisioning.provider.values import UNKNOWN, Properties

_FIRST_BOOT_S = 15.0
"""How long a machine may take to answer at first, beside the connection's own time limits: 30 s in all."""

_PASSING = frozenset({"boot_id"})
"""Beyond the facts of the moment: kept in the state, a restart would be called a change of the machine."""


class HostResource(Resource):
    """A machine. Its `connection` output is its `access` input with the host key that it showed."""

    replaced_by = frozenset({"stack", "access.address"})

    def identify(self, inputs: Properties) -> str:
        """`stack/machine`."""
        return f"{inputs['stack']}/{inputs['access']['name']}"

    def check(self, inputs: Properties) -> list[Failure]:
        """Only what could not even be tried; the spec has been checked before."""
        access = inputs.get("access")
        if access is UNKNOWN:
            return []
        missing = [key for key in ("name", "address", "port", "user") if not access or not access.get(key)]
        return [Failure(f"access.{key}", "must be given") for key in missing]

    def foresee(self, inputs: Properties, old: Properties) -> Properties:
        """The connection is known once the machine has shown its key."""
        known = old and inputs["access"] == old.get("access")
        return {
            **inputs,
            "connection": old["connection"] if known else UNKNOWN,
            "facts": old["facts"] if known else UNKNOWN,
        }

    def create(self, inputs: Properties, context: Context) -> Properties:
        """Connect, pin the key, read the facts and hold them against the requirements."""
        return self._approve(*self._look(inputs, context, wait_s=_FIRST_BOOT_S))

    def read(self, old: Properties, context: Context) -> Properties | None:
        """The facts as they are now; a machine that does not answer is still there, but not reachable."""
        try:
            properties, facts = self._look({**old, "access": old["connection"]}, context)
        except Unreachable as error:
            context.warn(str(error))
            return {**old, "reachable": False}
        # A refresh clears Pulumi's own mark of a failed create: what is unmet must be drift, or the next `up` passes.
        problems = unmet(facts, old["requirements"]) if "unmet" not in old["requirements"] else []
        wanted = {"unmet": problems} if problems else old["requirements"]
        return {**properties, "access": old["access"], "requirements": wanted}

    def update(self, old: Properties, inputs: Properties, context: Context) -> Properties:
        """Look again, with the key that is already pinned unless the spec names one."""
        pinned = inputs["access"].get("host_key") or old["connection"]["host_key"]
        properties, facts = self._look(
            {**inputs, "access": {**inputs["access"], "host_key": pinned}}, context
        )
        return self._approve({**properties, "access": inputs["access"]}, facts)

    def delete(self, old: Properties, context: Context) -> None:
        """Take away whatever this stack's record still names, also what a killed run left and the state never saw."""
        try:
            machine = self._machine(old, old["connection"], context)
        except Unreachable as error:
            may_forget(old["connection"], error, context.warn)
            return
        converging.remove_all(machine)

    def _look(self, inputs: Properties, context: Context, wait_s: float = 0) -> tuple[Properties, HostFacts]:
        access = inputs["access"]
        context.progress(f"connecting to {access['address']}")
        connection = context.machines.connect(access, inputs.get("password"), wait_s)
        facts = read_facts(connection)
        lasting = {key: value for key, value in facts_to_properties(facts).items() if key not in _PASSING}
        known = {**access, "host_key": connection.host_key}
        return {**inputs, "connection": known, "facts": lasting, "reachable": True}, facts

    @staticmethod
    def _approve(properties: Properties, facts: HostFacts) -> Properties:
        if problems := unmet(facts, properties["requirements"]):
            error = HostError(properties["access"]["name"], "; it ".join(problems))
            raise CreatedButFailed(str(error), properties)
        return properties

    def _machine(self, inputs: Properties, connection: Any, context: Context) -> Machine:
        return Machine(
            host=connection["name"],
            shell=context.machines.connect(connection, inputs.get("password")),
            lock=context.machines.lock(connection),
            stack=inputs["stack"],
            progress=context.progress,
        )
