"""Fill the secret places of a rendered text, and take them out again before anybody sees what was read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from provisioning.state import SECRET, Artifact, RenderedFile

HIDDEN = "(this line differs; it is hidden because the file holds a secret)"


def fill(text: str, secrets: Mapping[str, str]) -> str:
    """The text with every `${secret:name}` replaced.

    Raises KeyError for a secret that is not given; the provider's check has named it to the operator before.
    """
    return SECRET.sub(lambda match: secrets[match[1]], text)


def complete_key(artifact: Artifact, secrets: Mapping[str, str]) -> str:
    """What marks the artifact's folder as complete: its key, and a digest of the secrets that it is made from.

    Everybody on the machine may read it: the secrets must be keys that nobody can guess.
    """
    if not artifact.made_from:
        return artifact.key
    values = "\0".join(secrets[name] for name in artifact.made_from)
    return f"{artifact.key} {hashlib.sha256(values.encode()).hexdigest()[:16]}"


def conceal(found: str, rendered: RenderedFile, secrets: Mapping[str, str]) -> str:
    """What was found on the machine, told without its secrets: equal lines as rendered, other lines hidden."""
    if not rendered.secrets:
        return found
    wanted = rendered.text.splitlines(keepends=True)
    by_content = {fill(line, secrets).rstrip("\n"): line for line in wanted}
    lines = found.splitlines(keepends=True)
    return "".join(by_content.get(line.rstrip("\n"), HIDDEN + "\n") for line in lines)
