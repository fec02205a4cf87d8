"""Replicas that are stand-ins, in the network of one lab node that holds the gateways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from bench.affinity.engine_stand_in import EngineModel
from bench.gateway.candidates import install
from bench.gateway.lab import background, in_network_of
from support.lab_stacks import LabStack, StartedNode, swept_lab_stack

NODE = "node-1"


@contextmanager
def stand_in_fleet(servers: Sequence[str], model: EngineModel) -> Iterator[tuple[LabStack, StartedNode]]:
    """A lab node whose 127.0.0.1 has these replicas, and nginx."""
    ports = [server.rpartition(":")[2] for server in servers]
    with swept_lab_stack() as stack:
        node = stack.start(NODE)
        install(node)
        words = in_network_of(
            stack, NODE, "bench.affinity.engine_stand_in", *ports, "--model", json.dumps(asdict(model))
        )
        with background(words):
            yield stack, node
