"""The `fleet` command. What takes a SPEC reads files and prints; what takes a STACK asks its machines, by SSH.

Exit codes: 0 done, 1 a check failed (it does not fit, it is not well), 2 bad input, 3 anything else, 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

from infra.errors import FleetError


def main() -> int:
    """The console script."""
    gc.disable()  # the process ends in a moment: collecting garbage while it imports takes a tenth of its time
    return run(sys.argv[1:])


def run(arguments: Sequence[str]) -> int:
    """Run the command and answer its exit code; every failure is one sentence on stderr."""
    try:
        return _run(arguments)
    except FleetError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's, about the command line
            return _say(f"fleet: {error.format_message()} (fleet --help)", 2)
        if os.environ.get("FLEET_DEBUG"):
            raise
        return _say(f"fleet: unexpected {type(error).__name__}: {error}; FLEET_DEBUG=1 shows where", 3)


def _run(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["size"]:
        # Scripts size replicas by the hundred: the standard library's parser starts in half of Typer's time.
        from infra.cli.size import run_size

        return run_size(arguments[1:])
    from infra.cli.commands import app

    return app(args=arguments or ["--help"], prog_name="fleet", standalone_mode=False) or 0


def _say(sentence: str, exit_code: int) -> int:
    print(sentence, file=sys.stderr)
    return exit_code
