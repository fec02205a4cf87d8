"""Resources as a test wrote them: {"name": {"kind": "Service", "properties": {…}, "secrets": {…}, "host": "name"}}.

"gateway" names the host of a service's gateway, "node" the lab node of a host, "after" what comes before.
"""

import json
import os
from pathlib import Path

import pulumi

from infra.resources import types

made: dict[str, types.LabNode | types.Host | types.Service] = {}
for name, item in json.loads(Path(os.environ["FLEET_TEST_RESOURCES"]).read_text()).items():
    properties = dict(item["properties"])
    options = pulumi.ResourceOptions(depends_on=[made[other] for other in item.get("after", [])])
    if "host" in item:
        properties["connection"] = made[item["host"]].connection
    if "gateway" in item:
        properties["gateway"] = {"connection": made[item["gateway"]].connection}
    if "node" in item:
        properties["access"] = made[item["node"]].connection
    if "secrets" in item:
        properties["secrets"] = pulumi.Output.secret(item["secrets"])
    made[name] = getattr(types, item["kind"])(name, properties, options)
    if item["kind"] == "Service":
        pulumi.export(name, made[name].gate_report)
