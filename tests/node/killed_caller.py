"""Does lab actions in processes that kill themselves: run by test_lab_cut_off.py, one request a line on stdin.

A request is [action, commands, state]: the process does `action` to the node and kills itself before the command after
so many. Its exit code is the answer. Forking saves the start of a Python for each of some hundred requests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from provisioning import lab

QUESTIONS = {"-j", "ssh", "ssh-keygen"}
"""Words of commands that change nothing."""

run = subprocess.run


def act(action: str, commands: int, state: lab.LabNodeState) -> None:
    left = commands

    def run_or_die(words: Sequence[str], **options: Any) -> Any:
        nonlocal left
        if not QUESTIONS & set(words):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return run(words, **options)

    subprocess.run = run_or_die  # type: ignore[assignment]
    getattr(lab, action)(state)


for line in sys.stdin:
    action, commands, fields = json.loads(line)
    if not (pid := os.fork()):
        try:
            act(action, commands, lab.LabNodeState(**fields))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
