"""`python -m tools.stack up|preview|down|key|env STACK`: what the Makefile's verbs run."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools.stack import verbs
from tools.stack.environment import stack_environment, this_layout
from tools.stack.errors import StackError
from tools.stack.pulumi import Pulumi

INTERRUPTED = 130


def main() -> int:
    """Runs one verb; its exit code is Pulumi's own where Pulumi decides."""
    parser = argparse.ArgumentParser(prog="tools.stack", description=__doc__)
    parser.add_argument("verb", choices=["up", "preview", "down", "key", "env"])
    parser.add_argument("stack")
    parser.add_argument(
        "--ask", action="store_true", help="let Pulumi show its preview and ask before it acts (up)"
    )
    parser.add_argument(
        "--delete-data",
        default="",
        metavar="STACK",
        help="the stack's name, to let its data go with it (down)",
    )
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where agents.env is written (env)")
    arguments = parser.parse_args()
    layout = this_layout()
    pulumi = Pulumi(layout.repo, arguments.stack, stack_environment(os.environ, layout))
    try:
        if arguments.verb == "up":
            return verbs.up(pulumi, layout, ask_first=arguments.ask)
        if arguments.verb == "down":
            return verbs.down(pulumi, layout, arguments.delete_data)
        if arguments.verb == "env":
            return verbs.env(pulumi, arguments.to or layout.agents(arguments.stack))
        return {"preview": verbs.preview, "key": verbs.key}[arguments.verb](pulumi)
    except StackError as error:
        print(f"agentfleet: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
