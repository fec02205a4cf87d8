"""Text types of a spec: names, paths and versions, each with the sentence that a wrong one earns.

A validator's ValueError is the operator's message as it stands: it continues `name: `.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from infra.spec.document import shown

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Matches(GroupedMetadata):
    """Text that must match `pattern` from end to end; `rule` is the message, "must be ..."."""

    pattern: str
    rule: str

    def __iter__(self) -> Iterator[object]:
        """What pydantic puts on the field: the check, and the pattern for editors."""
        yield AfterValidator(self._check)
        yield WithJsonSchema({"type": "string", "pattern": f"^{self.pattern}$"})

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(f"{self.rule}, not {shown(value)}")
        return value


def _config_key(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", value):
        # The value is not shown: it may be the secret itself.
        raise ValueError(
            "must be the name of a Pulumi config secret, not the secret itself:"
            " run `pulumi config set --secret NAME` and give NAME"
        )
    return value


def _version(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(
            f"is read as the number {value}: give the version in full and in quotes, such as '0.32.0'"
        )
    return value


def _node_folder(value: str) -> str:
    if not value.startswith("/") or not value.isprintable() or "/../" in f"{value}/":
        raise ValueError(
            f"must be an absolute path on the node, such as /data/models/llama, not {shown(value)}"
        )
    return value.rstrip("/") or "/"


def one_line(value: str) -> str:
    """Text that fits on a line of a unit: not empty, no control or invisible characters."""
    if not value.strip():
        raise ValueError("is empty text: give a value or remove the key")
    if not value.isprintable():
        raise ValueError("must be one line of printable characters")
    return value


FleetName = Annotated[
    str,
    Matches(
        r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?",
        "must be 1 to 31 small letters, digits and inner hyphens, a letter first",
    ),
]
NodeName = Annotated[
    str, Matches(LABEL, "must be 1 to 63 small letters, digits and inner hyphens, as in a host name")
]
ModelKey = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
        "must be 1 to 63 letters, digits and . _ -, a letter or digit first, since a folder has this name",
    ),
]
ServedName = Annotated[
    str,
    Matches(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}", "must be letters, digits and . _ / : - with no space"),
]
HubId = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}",
        "must be an organisation and a model, such as Qwen/Qwen2.5-7B-Instruct",
    ),
]
Revision = Annotated[str, Matches(r"[A-Za-z0-9][\w./-]{0,127}", "must be a commit, tag or branch")]
User = Annotated[str, Matches(r"[a-z_][a-z0-9_-]{0,31}", "must be a login name such as ubuntu")]
Version = Annotated[
    str,
    BeforeValidator(_version),
    Matches(
        r"[0-9]+\.[0-9]+\.[0-9]+(?:\.post[0-9]+|rc[0-9]+)?",
        "must be a full version in three parts, such as 0.32.0",
    ),
]
Method = Annotated[
    str, Matches(r"[a-z][a-z0-9_-]{0,39}", "must be a quantization method of vLLM, such as fp8 or awq")
]
HeaderName = Annotated[
    str,
    Matches(r"[A-Za-z][A-Za-z0-9-]{0,63}", "must be a request header's name, such as X-Session-Id"),
]
CookieName = Annotated[
    str,
    Matches(r"[A-Za-z][A-Za-z0-9_]{0,63}", "must be letters, digits and _, such as agentfleet_session"),
]
KeyPrefix = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "must be letters, digits and _ . -, such as notes for notes:*"
    ),
]
ConfigKey = Annotated[str, BeforeValidator(_config_key)]
NodeFolder = Annotated[str, AfterValidator(_node_folder)]
Line = Annotated[str, AfterValidator(one_line)]
