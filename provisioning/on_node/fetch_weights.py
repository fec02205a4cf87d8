"""Brings a model's files from the Hugging Face hub to a folder of the node; run there by the engine's own Python.

    python fetch_weights.py REPOSITORY REVISION FOLDER --setting models.agent.weights [--token-name hfToken]

HF_ENDPOINT names a mirror, HF_TOKEN a token. Files that are there and whole are kept; at the end every file has been
held against the hub's own digest. What goes wrong ends as one line on stderr that begins with "problem: ", in the words
of the spec: `--setting` is the place of the weights in it, `--token-name` the secret that holds the token.
"""

from __future__ import annotations

import argparse
import errno
import glob
import hashlib
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_OTHER_FORMATS = ("original/", "metal/", "onnx/", "openvino/", "coreml/", "flax/")
"""Folders in which repositories keep the same weights a second time, for other programs."""

_KINDS = ("model.safetensors", "consolidated.safetensors", ".bin", ".pt", ".pth", ".gguf")
"""Kinds of weight files in the order in which vLLM prefers them; one kind is enough."""

_FOR_OTHERS = (".onnx", ".h5", ".msgpack", ".ot", ".tflite", ".mlmodel")

_ASK_FOR_ACCESS = "ask for access on its page, and name a secret with a token in {setting}.token_config"
_MAKE_ANOTHER = "make one that can read {name}, and run `pulumi config set --secret {token}`"
_NO_REVISION = "{name} has no revision {revision}: correct {setting}.revision"
_ANSWERS = {
    "GatedRepoError": (
        "{name} is gated: " + _ASK_FOR_ACCESS,
        "the token in {token} has no access to {name}, which is gated: ask for it on its page, as the token's account",
    ),
    "RevisionNotFoundError": (_NO_REVISION, _NO_REVISION),
    "RepositoryNotFoundError": (
        "the hub has no model {name} for everybody: correct {setting}.hub, or " + _ASK_FOR_ACCESS,
        "the hub has no model {name} that the token in {token} may see: correct {setting}.hub, or "
        + _MAKE_ANOTHER,
    ),
    "401": (
        "the hub asks for a token (401): " + _ASK_FOR_ACCESS,
        "the hub refuses the token in {token} (401): " + _MAKE_ANOTHER,
    ),
    "403": (
        "the hub forbids it (403): " + _ASK_FOR_ACCESS,
        "the hub refuses the token in {token} (403): " + _MAKE_ANOTHER,
    ),
}
"""What to say of the hub's answers, by the error's class or its status: without a token, and with one."""

_OTHER_ANSWER = (
    "the hub answers {status} about {name}: run again later, or name a mirror in {setting}.endpoint"
)

_TIMEOUT_S = 10
_CHUNK_BYTES = 16 << 20


class Problem(Exception):
    """Something that the operator can mend, in one sentence."""


@dataclass(frozen=True)
class Request:
    """What to bring, and how its settings are called in the spec."""

    repository: str
    revision: str
    folder: Path
    setting: str
    token_name: str


def main() -> int:
    """Brings the files; 1 after a problem that is known, with its sentence."""
    parser = argparse.ArgumentParser(description="Bring a model's files from the hub.")
    parser.add_argument("repository")
    parser.add_argument("revision")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--setting", required=True)
    parser.add_argument("--token-name", default="")
    request = Request(**vars(parser.parse_args()))
    try:
        fetch(request)
    except Exception as error:
        sentence = explain(error, request)
        if sentence is None:
            raise
        print(f"problem: {sentence}", file=sys.stderr)
        return 1
    return 0


def fetch(request: Request) -> None:
    """Everything that the model needs, whole and proven."""
    from huggingface_hub import (  # type: ignore[import-not-found, unused-ignore]
        HfApi,
        snapshot_download,
    )

    hub = HfApi()
    commit = hub.model_info(request.repository, revision=request.revision, timeout=_TIMEOUT_S).sha
    tree = hub.list_repo_tree(request.repository, revision=commit, recursive=True)
    files = {item.path: item for item in tree if hasattr(item, "size")}
    wanted = {path: files[path] for path in wanted_files(files)}
    check_room(request.folder, {path: item.size for path, item in wanted.items()})
    snapshot_download(
        request.repository,
        revision=commit,
        local_dir=request.folder,
        allow_patterns=[glob.escape(path) for path in wanted],
    )
    prove(request.folder, wanted)


def wanted_files(paths: Iterable[str]) -> list[str]:
    """Weights of one kind, and all that is no weights: configuration, tokenizer, templates, code."""
    own = [path for path in sorted(paths) if not path.startswith(_OTHER_FORMATS)]
    kinds = {path: kind_of(path) for path in own if not path.endswith(_FOR_OTHERS)}
    best = min((kind for kind in kinds.values() if kind is not None), default=None)
    return [path for path, kind in kinds.items() if kind is None or kind == best]


def kind_of(path: str) -> int | None:
    """The rank of a weight file's kind among _KINDS, None for what is no weight file."""
    name = path.rpartition("/")[2]
    if name.endswith(".safetensors"):
        return _KINDS.index(
            "consolidated.safetensors" if name.startswith("consolidated") else "model.safetensors"
        )
    return next((rank for rank, kind in enumerate(_KINDS) if name.endswith(kind)), None)


def check_room(folder: Path, sizes: Mapping[str, int]) -> None:
    """Raises Problem where the disk cannot hold what is still missing: before hours of downloading, not after."""
    there = {path for path, size in sizes.items() if _size_of(folder / path) == size}
    missing_bytes = sum(size for path, size in sizes.items() if path not in there)
    free_bytes = shutil.disk_usage(folder).free
    print(f"{len(sizes)} files, {_size(sum(sizes.values()))}; {_size(missing_bytes)} to bring", flush=True)
    if missing_bytes > free_bytes:
        raise Problem(
            f"the disk of {folder} has {_size(free_bytes)} free and the weights still need {_size(missing_bytes)}: "
            "free some, or mount a larger one"
        )


def prove(folder: Path, files: Mapping[str, Any]) -> None:
    """Raises Problem, after taking away what is damaged, where a file is not what the hub says that it is."""
    print(f"checking {len(files)} files", flush=True)
    with ThreadPoolExecutor() as threads:
        sound = threads.map(lambda path: _is_sound(folder / path, files[path]), files)
        damaged = [path for path, is_sound in zip(files, sound, strict=True) if not is_sound]
    for path in damaged:
        (folder / path).unlink(missing_ok=True)
    if damaged:
        raise Problem(
            f"{len(damaged)} of {len(files)} files arrived damaged, such as {damaged[0]}: run again"
        )


def explain(error: BaseException, request: Request) -> str | None:
    """The sentence for a failure of `fetch`, None where the error's own text must do."""
    if isinstance(error, Problem):
        return str(error)
    kinds = [kind.__name__ for kind in type(error).__mro__]
    status = getattr(getattr(error, "response", None), "status_code", 0)
    if status or "GatedRepoError" in kinds:
        return _explain_answer(kinds, status, request)
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return (
            f"the disk of {request.folder} filled up: free some, or mount a larger one; what is whole is kept"
        )
    if {"TransportError", "ConnectionError", "TimeoutException"}.intersection(kinds):
        return (
            f"this machine cannot reach the hub ({error}): check its network, DNS, proxy and certificates, "
            f"or name a mirror in {request.setting}.endpoint"
        )
    return explain(error.__cause__, request) if error.__cause__ else None


def _explain_answer(kinds: Sequence[str], status: int, request: Request) -> str:
    """What an error that the hub answers with asks of the operator."""
    known = next((key for key in (*kinds, str(status)) if key in _ANSWERS), "")
    without, with_token = _ANSWERS.get(known, (_OTHER_ANSWER, _OTHER_ANSWER))
    return (with_token if request.token_name else without).format(
        name=request.repository,
        revision=request.revision,
        setting=request.setting,
        status=status,
        token=request.token_name,
    )


def _is_sound(path: Path, described: Any) -> bool:
    """By the SHA-256 of large files, by git's own digest of small ones."""
    if _size_of(path) != described.size:
        return False
    if described.lfs is None:
        content = path.read_bytes()
        header = f"blob {len(content)}\0".encode()
        return hashlib.sha1(header + content).hexdigest() == str(described.blob_id)  # noqa: S324 - git's choice
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest() == str(described.lfs.sha256)


def _size_of(path: Path) -> int:
    """-1 for a file that is not there."""
    return path.stat().st_size if path.is_file() else -1


def _size(size_bytes: int) -> str:
    """In whole MiB, rounded up, or in GiB where those are many."""
    mib = -(-size_bytes // (1 << 20))
    return f"{mib} MiB" if mib < 10_000 else f"{mib / 1024:.1f} GiB"


if __name__ == "__main__":
    sys.exit(main())
