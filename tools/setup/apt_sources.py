"""Which package archives this computer itself uses, so that a lab node can be made from the same ones.

Pure: text of the source files in, archives out. Both of apt's formats are read, one-line (`deb uri suite component`)
and deb822 (`Types: deb` blocks). Archives of third parties are left out: a lab node is a plain server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

OWN_COMPONENTS = frozenset(
    {"main", "universe", "restricted", "multiverse", "contrib", "non-free", "non-free-firmware"}
)
OWN_KEYRINGS = ("debian-archive", "ubuntu-archive")
POCKETS = ("", "-updates", "-security")


@dataclass(frozen=True)
class Archive:
    """One line of a sources.list: an archive, a suite of it, and the key that signs it (empty: apt's own keys)."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def __str__(self) -> str:
        """As a one-line source, the form that mmdebstrap takes."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {self.suite} {' '.join(self.components)}"


def own_archives(one_line: list[str], deb822: list[str], codename: str) -> list[Archive]:
    """The distribution's own archives for `codename`, in the order of the files, each once.

    `one_line` and `deb822` hold the text of whole files. An archive counts as the distribution's own when its suite is
    the codename or its updates or security pocket, its components are the distribution's, and the key that signs it is
    apt's default or the distribution's keyring.
    """
    found = [archive for text in one_line for archive in parse_one_line(text)]
    found += [archive for text in deb822 for archive in parse_deb822(text)]
    suites = {codename + pocket for pocket in POCKETS}
    return list(dict.fromkeys(archive for archive in found if _is_own(archive, suites)))


def parse_one_line(text: str) -> Iterator[Archive]:
    """Archives of a `sources.list`; `deb-src` and comments are not archives of packages."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<words>[^#]+)", line)
        if found is None:
            continue
        uri, suite, *components = found["words"].split()
        options = dict(word.split("=", 1) for word in (found["options"] or "").split() if "=" in word)
        if components:
            yield Archive(uri, suite, tuple(components), options.get("signed-by", ""))


def parse_deb822(text: str) -> Iterator[Archive]:
    """Archives of a `.sources` file; a block that says `Enabled: no` is none."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", kept):
        fields = _fields(block)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        components = tuple(fields.get("components", "").split())
        key = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Archive(uri, suite, components, key)


def _fields(block: str) -> dict[str, str]:
    """The fields of one block by lower-case name; continuation lines are joined by spaces."""
    fields: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line[:1] in {" ", "\t"}:
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _is_own(archive: Archive, suites: set[str]) -> bool:
    signed_by_owner = not archive.signed_by or any(ring in archive.signed_by for ring in OWN_KEYRINGS)
    components_are_own = bool(archive.components) and OWN_COMPONENTS.issuperset(archive.components)
    return archive.suite in suites and components_are_own and signed_by_owner
