"""A lab node's wanted state refuses what cannot be, in a sentence that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.errors import LabError
from provisioning.lab.values import LabNodeState

GOOD: dict[str, Any] = {
    "stack": "stage1",
    "name": "node-1",
    "network": "198.18.7.0/24",
    "address": "198.18.7.11",
}


def test_the_first_address_of_the_network_is_this_computers() -> None:
    state = LabNodeState(**GOOD)
    assert str(state.gateway) == "198.18.7.1/24"
    assert str(state.interface) == "198.18.7.11/24"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stack": "../etc"}, "stack '../etc'"),
        ({"stack": ""}, "stack ''"),
        ({"name": "Node 1"}, "node 'Node 1'"),
        ({"name": "n" * 41}, "at most 40"),
        ({"name": "node-"}, "is a hostname"),
        ({"network": "198.18.7.0"}, "between 24 and 29 bits"),
        ({"network": "198.18.7.1/24"}, r"nodes\.lab\.network: 198\.18\.7\.1/24 has host bits set"),
        ({"network": "198.18.0.0/16"}, "between 24 and 29 bits"),
        ({"network": "banana"}, r"node node-1: nodes\.lab\.network"),
        ({"address": "198.18.8.11"}, r"198\.18\.8\.11 must lie in 198\.18\.7\.0/24"),
        ({"address": "198.18.7.1"}, r"after 198\.18\.7\.1, which is this computer's"),
        ({"address": "198.18.7.255"}, "must lie in"),
        ({"binds": {"opt/x": "engines/x"}}, "an absolute path in the node"),
        ({"binds": {"/opt/x": "../../etc"}}, "a folder of the cache"),
        ({"binds": {"/opt/x": "/etc"}}, "a folder of the cache"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        LabNodeState(**{**GOOD, **wrong})
