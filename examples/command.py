"""What the examples' commands share: their verbs, their refusals and what they print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from agentfleet_agents.errors import StateDamaged, StateUnavailable
from agentfleet_agents.settings import SettingsMissing

REFUSED = 2
STORE_FAILED = 3
SUBJECT = "how a KV cache is kept between two turns"


def arguments(
    module: str, about: str | None, add_order: Callable[[argparse.ArgumentParser], object]
) -> argparse.Namespace:
    """`verb` (start, resume or show) and `name`; with start, what `add_order` adds."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("start", help="begin; refused when the store knows the name")
    start.add_argument("--subject", default=SUBJECT)
    start.add_argument("--max-tokens", type=int, default=32, help="of one answer (%(default)s)")
    add_order(start)
    resume = verbs.add_parser("resume", help="go on after what is stored")
    show = verbs.add_parser("show", help="what is stored")
    for verb in (start, resume, show):
        verb.add_argument("name", help="part of the names of the sessions, and of the keys in the store")
    return parser.parse_args()


def exit_code(main: Callable[[], int]) -> int:
    """What `main` returns; a sentence and no traceback where the environment or the store is not as it must be."""
    try:
        return main()
    except SettingsMissing as error:
        print(error, file=sys.stderr)
        return REFUSED
    except (StateUnavailable, StateDamaged) as error:
        print(error, file=sys.stderr)
        return STORE_FAILED


def is_refused(asked: argparse.Namespace, *, is_known: bool) -> bool:
    """Whether the verb does not fit what the store knows; says so."""
    if is_known != (asked.verb == "start"):
        return False
    sentence = (
        "is in the store already: resume it, or take another name"
        if is_known
        else "is not in the store: start it"
    )
    print(f"{asked.name} {sentence}", file=sys.stderr)
    return True


def say(words: Any) -> None:
    """One JSON object on a line of its own, at once: nothing said is lost with the process."""
    print(json.dumps(words), flush=True)
