"""What a machine is: asked once by a script, parsed by pure functions, held against what the plan needs of it."""

from provisioning.facts.read import read_facts
from provisioning.facts.requirements import Requirements, unmet
from provisioning.facts.values import Gpu, HostFacts, facts_from_properties, facts_to_properties

__all__ = [
    "Gpu",
    "HostFacts",
    "Requirements",
    "facts_from_properties",
    "facts_to_properties",
    "read_facts",
    "unmet",
]
