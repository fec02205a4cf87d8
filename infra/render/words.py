"""Words of the files that programs read: quoting as systemd asks for it, and where its units stand."""

from __future__ import annotations

import re

UNITS = "/etc/systemd/system"


def systemd_word(word: str) -> str:
    """One argument of ExecStart: systemd's own specifiers and variables are doubled, the rest is quoted at need."""
    word = word.replace("%", "%%").replace("$", "$$")
    if word and re.fullmatch(r"[^\s\"'\\;]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
