"""The Pulumi program: spec, plan, files, resources. What decides is in `infra`, what acts in `provisioning`."""

from pathlib import Path

import pulumi

from infra.errors import FleetError
from infra.resources.program import deploy

try:
    deploy(Path(__file__).parent, pulumi.get_stack(), pulumi.Config())
except FleetError as error:
    raise pulumi.RunError(str(error)) from error
