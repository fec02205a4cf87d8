"""What LiteLLM's clients meet first: keys, paths, and the header by which the gateway behind LiteLLM tells sessions.

Everything here is done before LiteLLM sees a request and needs nothing of its own interfaces: no key of a client, no
header that steers LiteLLM and no page of its administration gets through.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

INNER_SESSION = b"x-agentfleet-session"
"""LiteLLM hands on what begins with x-, whatever clients' header is called."""

PATHS = frozenset(
    f"/v1/{name}"
    for name in ("models", "chat/completions", "completions", "embeddings", "messages", "responses")
)
REPLICA = b"x-fleet-replica"
CLOSING = (b"connection", b"close")
_DROPPED = (b"authorization", b"x-api-key", b"api-key", INNER_SESSION)
_STEERING = b"x-litellm-"
"""Headers by which a client could ask for retries, and so for a second generation, or for another time limit."""


class Edge:
    """LiteLLM's application behind a door; `health` asks the gateway behind it and returns its status and body."""

    def __init__(
        self,
        app: App,
        settings: Mapping[str, Any],
        keys: Mapping[str, str],
        own_key: str,
        health: Callable[[], Awaitable[tuple[int, bytes]]],
    ) -> None:
        """`keys` maps clients' names to their keys; `own_key` is LiteLLM's."""
        self._app = app
        self._header = str(settings["session_header"]).lower().encode()
        self._cookie = str(settings["session_cookie"])
        self._limit_bytes = int(settings["request_limit_bytes"])
        self._keys = [(name, key.encode()) for name, key in keys.items()]
        self._own_key = own_key.encode()
        self._health = health

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One connection's request, as ASGI has it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})
        if scope["path"] == "/health":
            return await _answer(send, *await self._health())
        headers: Headers = scope["headers"]
        if refusal := self._refusal(scope, dict(headers)):
            status, message, kind, code = refusal
            error = {"message": message, "type": kind, "param": None, "code": code}
            return await _answer(send, status, json.dumps({"error": error}).encode())
        inside = {**scope, "headers": self._inside(headers)}
        return await self._app(inside, receive, _at_the_door(send))

    def _refusal(
        self, scope: Message, headers: Mapping[bytes, bytes]
    ) -> tuple[int, str, str, str | None] | None:
        """Status, sentence, type and code of an error, None for a request that may go in."""
        if self._client(headers) is None:
            return (
                401,
                "A key is needed: Authorization: Bearer KEY.",
                "invalid_request_error",
                "invalid_api_key",
            )
        if scope["path"] not in PATHS:
            return 404, f"There is nothing at {scope['path']}.", "invalid_request_error", None
        if scope["method"] == "POST":
            length = headers.get(b"content-length", b"").decode()
            if not length.isdigit():
                return 411, "A length is needed: Content-Length.", "invalid_request_error", None
            if int(length) > self._limit_bytes:
                text = f"The request is larger than {self._limit_bytes} bytes."
                return 413, text, "invalid_request_error", None
        return None

    def _client(self, headers: Mapping[bytes, bytes]) -> str | None:
        """The client whose key this is; Anthropic's clients have a header of their own for it."""
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        given = given.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        found = [name for name, key in self._keys if secrets.compare_digest(key, given)]
        return found[0] if found else None

    def _inside(self, headers: Headers) -> Headers:
        """The headers that LiteLLM sees."""
        session = self._session(dict(headers))
        kept = [
            (name, value)
            for name, value in headers
            if name not in _DROPPED and name != self._header and not name.startswith(_STEERING)
        ]
        own = [(b"authorization", b"Bearer " + self._own_key)]
        return [*kept, *own, *([(INNER_SESSION, session)] if session else [])]

    def _session(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Header, cookie, and the client where there are several; empty when nothing tells the session."""
        if given := headers.get(self._header) or self._cookie_in(headers.get(b"cookie", b"")):
            return given
        client = self._client(headers) if len(self._keys) > 1 else None
        return client.encode() if client else b""

    def _cookie_in(self, text: bytes) -> bytes:
        try:
            cookies = SimpleCookie(text.decode("latin-1"))
        except CookieError:
            return b""
        return cookies[self._cookie].value.encode("latin-1") if self._cookie in cookies else b""


def _at_the_door(send: Send) -> Send:
    """Names the replica, which LiteLLM hands on under a name of its own, and lets no connection wait for another.

    Guard: a worker that is replaced would close one on which a request is just being sent.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: Headers = list(message["headers"])
            headers += [(REPLICA, value) for name, value in headers if name == b"llm_provider-" + REPLICA]
            message = {**message, "headers": [*headers, CLOSING]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), CLOSING]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
