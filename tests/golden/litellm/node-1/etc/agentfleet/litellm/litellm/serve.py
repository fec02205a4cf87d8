"""Runs LiteLLM's workers on a socket that outlives them: nobody is refused while one is replaced, nor during a restart.

The socket is kept by systemd between two runs (FileDescriptorStoreMax): who connects meanwhile waits in its queue.
SIGHUP replaces one worker after the other, each when its successor serves; streams in flight are finished.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from edge import App, Edge
from uvicorn.supervisors import Multiprocess

HERE = Path(__file__).resolve().parent
FIRST_PASSED_FD = 3
WORKERS_LEAST, WORKERS_MOST = 2, 8
START_LIMIT_S = 120
GRACE_TURNS, GRACE_TURN_S = 20, 0.1
OWN_KEY = "LITELLM_MASTER_KEY"

shut_down_at_once = uvicorn.Server.shutdown


def application() -> App:
    """What each worker serves."""
    from litellm.proxy.proxy_server import app  # takes seconds, so not where the parent would import it

    uvicorn.Server.shutdown = shut_down_patiently
    settings, keys = read_settings(), read_keys()
    return Edge(app, settings, keys, os.environ[OWN_KEY], lambda: ask_health(settings["health_url"]))


async def shut_down_patiently(server: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
    """Accepts no more, and waits for the requests of those who were accepted a moment ago, whom uvicorn would cut.

    In many short turns: after a busy moment one long wait would be over before a byte of theirs was read.
    """
    for listener in server.servers:
        listener.close()
    for _ in range(GRACE_TURNS):
        await asyncio.sleep(GRACE_TURN_S)
    await shut_down_at_once(server, sockets)


async def ask_health(url: str) -> tuple[int, bytes]:
    """What the gateway behind says of itself."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        return 503, json.dumps({"status": "failing", "gateway": str(error)}).encode()
    return answer.status_code, answer.content


def read_settings() -> dict[str, Any]:
    """What the plan decided."""
    settings: dict[str, Any] = json.loads((HERE / "settings.json").read_text())
    return settings


def read_keys() -> dict[str, str]:
    """Clients' keys by name, from where systemd puts what root alone may read."""
    lines = credential("keys").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def credential(name: str) -> Path:
    """A file that systemd hands to this unit."""
    return Path(os.environ["CREDENTIALS_DIRECTORY"], name)


def listening(host: str, port: int) -> socket.socket:
    """The socket of the run before, where systemd has kept it, else a new one that it shall keep."""
    if os.environ.pop("LISTEN_PID", "") == str(os.getpid()):
        kept = [
            socket.socket(fileno=FIRST_PASSED_FD + n) for n in range(int(os.environ.pop("LISTEN_FDS", "0")))
        ]
        names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
        for one, name in zip(kept, names, strict=True):
            if one.getsockname() == (host, port):
                return one
            notify(f"FDSTOREREMOVE=1\nFDNAME={name}")
            one.close()
    made = socket.create_server((host, port), backlog=4096)
    notify("FDSTORE=1\nFDNAME=clients", made)
    return made


def notify(text: str, passed: socket.socket | None = None) -> None:
    """Says something to systemd, with a socket that it is to keep."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        socket.send_fds(channel, [text.encode()], [passed.fileno()] if passed else [])


def main() -> None:
    """Serves at the given address and port until SIGTERM."""
    settings = read_settings()
    os.environ[OWN_KEY] = read_keys()["apiKey"]
    os.environ["CONFIG_FILE_PATH"] = str(HERE / "config.yaml")
    workers = max(WORKERS_LEAST, min(WORKERS_MOST, os.cpu_count() or 1))
    certificate, key = credential("certificate"), credential("key")
    files = {"ssl_certfile": certificate, "ssl_keyfile": key} if certificate.exists() else {}
    config = uvicorn.Config(
        "serve:application",
        factory=True,
        workers=workers,
        timeout_worker_healthcheck=START_LIMIT_S,
        timeout_graceful_shutdown=settings["drain_timeout_s"],
        timeout_keep_alive=75,
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="none",
        **files,
    )
    clients = listening(sys.argv[1], int(sys.argv[2]))
    clients.set_inheritable(True)
    notify("READY=1")
    Multiprocess(config, sockets=[clients]).run()


if __name__ == "__main__":
    main()
