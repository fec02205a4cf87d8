"""up, preview, down and key: each can be run again at any time, and goes on from what is there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from infra.render.agents_env import CA_FILE
from tools.stack.agents import forget_agents_env, write_agents_env
from tools.stack.checkpoint import mend_checkpoint
from tools.stack.completion import Endpoint, ask, base_url, wait_until_available
from tools.stack.crash import clear_stale_lock, read_living_locks
from tools.stack.data import permission
from tools.stack.environment import Layout
from tools.stack.errors import StackError
from tools.stack.generated import generated_secrets, new_secret
from tools.stack.parts import needed_parts, set_up
from tools.stack.pulumi import Pulumi
from tools.stack.trust import fleet_context, shows_own_certificate


def up(pulumi: Pulumi, layout: Layout, *, ask_first: bool) -> int:
    """Brings the stack up, asks it a question, and says how long each took; returns Pulumi's exit code.

    With `ask_first` Pulumi shows its preview and waits for a yes.
    """
    for part in needed_parts(_spec_of(pulumi)):
        set_up(pulumi.repo, part)
    started_s = time.monotonic()
    prepare(pulumi)
    answer_for_us = [] if ask_first else ["--yes", "--skip-preview"]
    code = pulumi.watch("up", *answer_for_us, "--refresh", "--suppress-permalink=true")
    if code != 0:
        _say(
            f"`pulumi up` ended with exit code {code}. What it did is recorded: `make up` again goes on from there."
        )
        return code
    applied_s = time.monotonic()
    proven = _prove(pulumi, layout, pulumi.outputs())
    _say(
        f"Took {applied_s - started_s:.0f} s for pulumi up, {time.monotonic() - applied_s:.1f} s for the question."
    )
    return 0 if proven else 1


def preview(pulumi: Pulumi) -> int:
    """Shows what `up` would do, with the text differences of every file; touches nothing but the stack's settings."""
    prepare(pulumi)
    return pulumi.watch("preview", "--diff", "--suppress-permalink=true")


def down(pulumi: Pulumi, layout: Layout, delete_data: str = "") -> int:
    """Removes everything that the stack brought, from its machines, this computer and the backend.

    Where it holds data, `delete_data` must be the stack's name: raises StackError before anything is touched.
    """
    _mend(pulumi)
    if pulumi.exists():
        clear_stale_lock(pulumi, _say)
        allowed = permission(pulumi, delete_data)
        pulumi = replace(pulumi, environment={**pulumi.environment, **allowed})
        code = pulumi.watch("destroy", "--yes", "--skip-preview", "--remove", "--suppress-permalink=true")
        if code != 0:
            _say(
                f"`pulumi destroy` ended with exit code {code}: nothing was forgotten, `make down` again goes on."
            )
            return code
    code = _sweep(pulumi)
    if code != 0:
        return code
    (pulumi.repo / "stacks" / f"Pulumi.{pulumi.stack}.yaml").unlink(missing_ok=True)
    forget_agents_env(layout.agents(pulumi.stack))
    _say(f"{pulumi.stack} is down: nothing of it is left.")
    return 0


def key(pulumi: Pulumi) -> int:
    """Prints the stack's API key, and nothing else, for use in `$(make -s key)`."""
    value = pulumi.setting("apiKey") if pulumi.exists() else ""
    if not value:
        raise StackError(f"{pulumi.stack} has no API key yet: `make up STACK={pulumi.stack}` makes one", 1)
    print(value)
    return 0


def env(pulumi: Pulumi, folder: Path) -> int:
    """Writes agents.env for the stack's agents, and says where; its secrets are printed nowhere."""
    path = write_agents_env(pulumi, folder)
    _say(f"wrote {path}: for a shell, `set -a; . {shlex.quote(str(path))}; set +a`")
    return 0


def prepare(pulumi: Pulumi) -> None:
    """Makes the stack with its generated secrets where it is missing, and mends what a killed run left."""
    spec = _spec_of(pulumi)
    if not spec.exists():
        known = sorted(file.name.removesuffix(".fleet.yaml") for file in spec.parent.glob("*.fleet.yaml"))
        raise StackError(
            f"there is no {spec.relative_to(pulumi.repo)}; the stacks are: {', '.join(known)}", 2
        )
    _mend(pulumi)
    if not pulumi.exists():
        pulumi.read("stack", "init", pulumi.stack, "--no-select")
    clear_stale_lock(pulumi, _say)
    for name in generated_secrets(spec):
        if not pulumi.setting(name):
            pulumi.keep_secret(name, new_secret(name))


def next_steps(stack: str, endpoint: str, model: str, ca_file: Path | None) -> str:
    """What to type after `up`: a question, and how to go on.

    `ca_file` is where `make env` writes the CA's certificate, if the endpoint's can be checked with it alone.
    """
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    env = f"    make env STACK={stack}        the endpoint, its key and its CA for agents, and for this:\n"
    trust = f"--cacert {shlex.quote(str(ca_file))} " if ca_file else ""
    return (
        "\nWhat to do next:\n"
        f"{env if ca_file else ''}"
        f"    curl {trust}{base_url(endpoint)}/chat/completions -H 'Content-Type: application/json' \\\n"
        f'        -H "Authorization: Bearer $(make -s key STACK={stack})" -d {shlex.quote(body)}\n'
        f"    make preview STACK={stack}    after a change of stacks/{stack}.fleet.yaml\n"
        f"    make down STACK={stack}       to remove everything"
    )


def _spec_of(pulumi: Pulumi) -> Path:
    return pulumi.repo / "stacks" / f"{pulumi.stack}.fleet.yaml"


def _mend(pulumi: Pulumi) -> None:
    """Before Pulumi is asked anything: it reads no torn state."""
    if not read_living_locks(pulumi):
        mend_checkpoint(pulumi.environment.get("PULUMI_BACKEND_URL", ""), pulumi.stack, _say)


def _sweep(pulumi: Pulumi) -> int:
    """Removes lab nodes that no state knows of, such as those of a run that was killed while it made them."""
    if find_spec("provisioning.lab") is None:
        return 0
    words = [sys.executable, "-m", "provisioning.lab", "sweep", pulumi.stack]
    return subprocess.run(words, cwd=pulumi.repo, env=pulumi.environment, check=False).returncode


def _prove(pulumi: Pulumi, layout: Layout, outputs: dict[str, Any]) -> bool:
    """Asks the endpoint a question and prints the answer and how to ask the next one; False if it does not answer."""
    url = outputs.get("endpoint")
    if not url:
        _say("This stack has no endpoint to ask.")
        return True
    try:
        endpoint = Endpoint(url, pulumi.setting("apiKey"), fleet_context(pulumi, outputs))
        wait_until_available(endpoint, _say)
        answer = ask(endpoint)
    except StackError as error:
        _say(f"Everything is up, but the endpoint does not serve: {error}")
        return False
    _say(
        f"\n{answer.model} answered {answer.completion_tokens} tokens in {answer.seconds:.2f} s: {answer.text.strip()}"
    )
    ca_file = layout.agents(pulumi.stack) / CA_FILE if shows_own_certificate(outputs) else None
    _say(next_steps(pulumi.stack, url, answer.model, ca_file))
    return True


def _say(text: str) -> None:
    print(text, flush=True)
