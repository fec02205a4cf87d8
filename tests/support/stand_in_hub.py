"""A stand-in for the Hugging Face hub: its documented HTTP endpoints over a few files, with a gate before them.

It answers model info, file trees and file contents as the hub does (commit, ETag and linked headers, error codes), and
nothing else: no Xet, no redirects to a content network.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

COMMIT = "5a9f1c7e0b3d4862a1c5e7f9b0d2468ace013579"
LARGE_BYTES = 100_000
"""From here on a file is kept as a large one: its digest is that of its content, not git's."""

_INFO = re.compile(r"/api/models/([^/]+/[^/]+)/revision/([^/?]+)")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/?]+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class StandInHub:
    """One repository at one commit, to which its branch `main` points; `fetched` lists what was asked for."""

    address: str
    repository: str
    files: Mapping[str, bytes]
    token: str = ""
    gated: bool = False
    fetched: list[str] = field(default_factory=list)
    stall_in: str = ""
    """A file whose second half nobody gets before `release` is set."""
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    damaged: str = ""
    """A file of which other bytes come than its digest says."""
    port: int = 0

    @property
    def url(self) -> str:
        """What goes into HF_ENDPOINT."""
        return f"http://{self.address}:{self.port}"


@contextmanager
def running(hub: StandInHub) -> Iterator[StandInHub]:
    """The hub, answering at its address until the block ends."""
    server = ThreadingHTTPServer((hub.address, 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: StandInHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: Any) -> None:
        """Silent."""

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        for pattern, answer in ((_INFO, self._info), (_TREE, self._tree), (_FILE, self._file)):
            if match := pattern.fullmatch(path):
                if not self._is_refused(*match.groups()[:2], contents=pattern is _FILE):
                    cast("Any", answer)(*match.groups()[2:], with_body=with_body)
                return
        self._refuse(HTTPStatus.NOT_FOUND, "", "Not found")

    def _is_refused(self, repository: str, revision: str, *, contents: bool) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given != self.hub.token:
            self._refuse(HTTPStatus.UNAUTHORIZED, "", "Invalid credentials in Authorization header")
        elif repository != self.hub.repository:
            self._refuse(HTTPStatus.UNAUTHORIZED, "RepoNotFound", "Repository not found")
        elif revision not in ("main", COMMIT):
            self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif contents and self.hub.gated and not given:
            message = f"Access to model {repository} is restricted. You must have access to it and be authenticated."
            self._refuse(HTTPStatus.UNAUTHORIZED, "GatedRepo", message)
        else:
            return False
        return True

    def _info(self, *, with_body: bool) -> None:
        siblings = [{"rfilename": name} for name in self.hub.files]
        gated = "manual" if self.hub.gated else False
        self._json(
            {"id": self.hub.repository, "sha": COMMIT, "gated": gated, "siblings": siblings}, with_body
        )

    def _tree(self, *, with_body: bool) -> None:
        self._json([_entry(name, content) for name, content in self.hub.files.items()], with_body)

    def _file(self, name: str, *, with_body: bool) -> None:
        content = self.hub.files.get(name)
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND, "EntryNotFound", f"{name} does not exist")
            return
        entry = _entry(name, content)
        self.send_response(HTTPStatus.OK)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{entry.get("lfs", entry)["oid"]}"')
        if "lfs" in entry:
            self.send_header("X-Linked-Etag", f'"{entry["lfs"]["oid"]}"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.hub.fetched.append(name)
            self._write(name, bytes(len(content)) if name == self.hub.damaged else content)

    def _write(self, name: str, content: bytes) -> None:
        half = len(content) // 2 if name == self.hub.stall_in else len(content)
        self.wfile.write(content[:half])
        if half < len(content):
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.release.wait()
            self.wfile.write(content[half:])

    def _json(self, value: Any, with_body: bool) -> None:
        body = json.dumps(value).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as the hub's tree lists it."""
    entry: dict[str, Any] = {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),  # noqa: S324 - git's choice
    }
    if len(content) >= LARGE_BYTES:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
