"""Run by the engine's own Python: each line of stdin, a JSON list of words, through vLLM's argument parser.

Prints one JSON object a line: the error, empty where vLLM takes the command line, and the settings that differ from the
defaults. Importing the parser takes about 20 s, parsing a line about 2 ms, so all lines go through one process.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any

os.environ |= {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}

from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser

TOP = FlexibleArgumentParser(prog="vllm")
SERVE = make_arg_parser(TOP.add_subparsers(dest="subparser").add_parser("serve"))


def parse(words: list[str]) -> dict[str, Any]:
    """What vLLM makes of `serve MODEL --flag ...`."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(io.StringIO()):
            parsed = TOP.parse_args(words)
            validate_parsed_serve_args(parsed)
    except SystemExit:
        return {"error": complaint.getvalue().strip().splitlines()[-1], "settings": {}}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "settings": {}}
    options = {action.dest: action.default for action in SERVE._actions}
    given = {
        name: getattr(parsed, name)
        for name, default in options.items()
        if getattr(parsed, name, default) != default
    }
    return {"error": "", "settings": given}


for line in sys.stdin:
    print(json.dumps(parse(json.loads(line)), default=str), flush=True)
