"""`python -m provisioning.provider ENGINE_ADDRESS`: what the executable pulumi-resource-fleet runs."""

import contextlib
import sys

from provisioning.provider.server import serve

if __name__ == "__main__":
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if len(addresses) != 1:
        sys.exit("pulumi-resource-fleet is a Pulumi plugin: Pulumi starts it, with the address of its engine")
    with contextlib.suppress(KeyboardInterrupt):
        serve(addresses[0])
