"""A real chat completion against a stack's endpoint: the proof that what was brought up serves."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tools.stack.errors import StackError

TIMEOUT_S = 120.0
PATIENCE_S = 180.0
"""How long an endpoint may refuse or be unavailable: an engine that a reboot has just started needs a while."""

RETRY_INTERVAL_S = 1.0
UNAVAILABLE = frozenset({502, 503, 504})
QUESTION = "Say hello to the person who has just brought you up."
ANSWER_TOKENS = 24


@dataclass(frozen=True)
class Endpoint:
    """Where a stack answers, and for whom; `trust` checks its certificate, the system's CAs where it is None."""

    url: str
    api_key: str = field(repr=False)
    trust: ssl.SSLContext | None = None


@dataclass(frozen=True)
class Answer:
    """What the endpoint said, by which model, and how long it took."""

    model: str
    text: str
    completion_tokens: int
    seconds: float


def base_url(endpoint: str) -> str:
    """The endpoint as OpenAI clients want it, with `/v1` at its end."""
    trimmed = endpoint.rstrip("/")
    return trimmed if trimmed.endswith("/v1") else f"{trimmed}/v1"


class Unavailable(StackError):
    """Nobody answers, or a gateway that finds nobody behind it: may pass."""


def wait_until_available(endpoint: Endpoint, say: Callable[[str], None]) -> None:
    """Returns when the endpoint lists its models; raises StackError when it never does, or refuses the key."""
    deadline_s = time.monotonic() + PATIENCE_S
    announced = False
    while True:
        try:
            _call(endpoint, "/models")
        except Unavailable:
            if time.monotonic() >= deadline_s:
                raise
            if not announced:
                say(
                    f"Waiting for {endpoint.url}: an engine that has just been started loads its model first."
                )
                announced = True
            time.sleep(RETRY_INTERVAL_S)
        else:
            return


def ask(endpoint: Endpoint, question: str = QUESTION) -> Answer:
    """Asks the first model that the endpoint lists; raises StackError with what the endpoint said instead."""
    model = _call(endpoint, "/models")["data"][0]["id"]
    request = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": ANSWER_TOKENS,
    }
    started_s = time.monotonic()
    reply = _call(endpoint, "/chat/completions", request)
    return Answer(
        model=model,
        text=reply["choices"][0]["message"]["content"] or "",
        completion_tokens=reply["usage"]["completion_tokens"],
        seconds=time.monotonic() - started_s,
    )


def _call(endpoint: Endpoint, path: str, body: dict[str, Any] | None = None) -> Any:
    url = f"{base_url(endpoint.url)}{path}"
    headers = {"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310  # the stack's own endpoint
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=endpoint.trust) as reply:  # noqa: S310
            return json.load(reply)
    except urllib.error.HTTPError as error:
        said = error.read(400).decode(errors="replace").strip()
        kind = Unavailable if error.code in UNAVAILABLE else StackError
        raise kind(f"{url} answered {error.code}: {said}", 1) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            message = f"{url} shows a certificate that is not trusted here: {reason.verify_message}"
            raise StackError(message, 1) from error
        raise Unavailable(f"{url} does not answer: {error}", 1) from error
    except ValueError as error:
        raise StackError(f"{url} answered something that is no JSON: {error}", 1) from error
