"""Lab nodes for people: `python -m provisioning.lab list` and `python -m provisioning.lab sweep STACK`."""

from __future__ import annotations

import argparse
import sys

from provisioning.errors import ProvisioningError
from provisioning.lab import nodes_of, read, sweep
from provisioning.lab.folders import recorded_stacks


def main() -> int:
    """Runs the command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.lab", description=__doc__)
    choices = parser.add_subparsers(dest="command", required=True)
    choices.add_parser("list", help="all lab nodes of this computer")
    choices.add_parser("sweep", help="remove everything of a stack, whatever state it is in").add_argument(
        "stack"
    )
    chosen = parser.parse_args()
    try:
        lines = _listed() if chosen.command == "list" else _swept(chosen.stack)
    except ProvisioningError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _listed() -> list[str]:
    lines = []
    for stack in recorded_stacks():
        for state in nodes_of(stack):
            facts = read(state)
            if facts:
                condition = "running" if facts.running else "stopped"
                login = f"ssh -i {facts.identity_file} {facts.user}@{facts.address}"
                lines.append(f"{stack:<20} {state.name:<20} {condition:<8} {login}")
    return lines or ["no lab nodes"]


def _swept(stack: str) -> list[str]:
    swept = sweep(stack)
    return [f"removed {stack}/{node}" for node in swept] or [f"nothing of {stack} was left"]


if __name__ == "__main__":
    sys.exit(main())
