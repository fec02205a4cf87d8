"""The distribution's packages: what an install would bring is written down first, and that alone is removed later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from provisioning.converge.record import Install, Record, needed_packages
from provisioning.ssh import Connection

LOCK_WAIT_S = 300
"""How long apt waits for another package manager, such as the first boot's own upgrades."""


LEAVINGS = {
    "nginx-common": ("/var/www", "/var/www/html", "/var/www/html/index.nginx-debian.html"),
}
"""What a package's scripts make and its purge leaves (seen on Debian 12)."""


def preview_install(shell: Connection, packages: Sequence[str]) -> Install:
    """What installing `packages` would bring, by apt's own simulation. Raises CommandError when one is unknown."""
    simulation = shell.script(_SIMULATE, *packages, timeout_s=LOCK_WAIT_S + 120).stdout
    brought = parse_simulation(simulation)
    paths = [path for name in brought for path in LEAVINGS.get(name, ())]
    missing = '# looking for what is there\nfor p in "$@"; do [ -e "$p" ] || printf "%s\\n" "$p"; done'
    new = shell.script(missing, *paths, timeout_s=30).stdout.splitlines() if paths else []
    return Install(tuple(packages), brought, tuple(new))


def parse_simulation(text: str) -> tuple[str, ...]:
    """Names in the `Inst` lines of `apt-get --simulate` that are new: an upgrade shows its old version in brackets."""
    return tuple(re.findall(r"^Inst (\S+) (?!\[)", text, flags=re.MULTILINE))


def install(shell: Connection, packages: Sequence[str]) -> None:
    """Install, waiting for other package managers; configuration files of the operator are kept."""
    shell.script(_INSTALL, *packages, timeout_s=LOCK_WAIT_S + 1200)


def release(shell: Connection, record: Record, others: Sequence[Record]) -> Record:
    """Purge what this stack's installs brought and nobody on the machine needs any more; the record without it."""
    needed = needed_packages([record])
    gone = [item for item in record.installs if not needed.intersection(item.wanted)]
    purge = [item for item in gone if not needed_packages(others).intersection(item.wanted)]
    if purge:
        names = [name for item in purge for name in item.brought]
        shell.script(_PURGE, *_in_reverse(names), timeout_s=LOCK_WAIT_S + 600)
    if leavings := [path for item in purge for path in item.leavings]:
        shell.script(_TAKE_LEAVINGS, *_in_reverse(sorted(leavings)), timeout_s=60)
    return replace(record, installs=tuple(item for item in record.installs if item not in gone))


def _in_reverse(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))[::-1]


_QUIET = f"""
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a LC_ALL=C
apt() {{ apt-get -q -y -o DPkg::Lock::Timeout={LOCK_WAIT_S} -o Dpkg::Options::=--force-confold "$@"; }}
update() {{
    for attempt in 1 2 3 4 5 6; do  # the lists have a lock that apt does not wait for
        if apt update >/dev/null; then return 0; fi
        sleep 5
    done
    apt update
}}
"""

_SIMULATE = (
    "# asking apt what an installation would bring\n"
    + _QUIET
    + """
dpkg --configure -a >/dev/null
if ! apt install --no-install-recommends --simulate "$@" 2>/dev/null; then
    update
    apt install --no-install-recommends --simulate "$@"
fi
"""
)

_INSTALL = (
    "# installing packages\n"
    + _QUIET
    + 'apt install --no-install-recommends "$@" || { update; apt install --no-install-recommends "$@"; }'
)

_TAKE_LEAVINGS = """# removing what packages leave
for path in "$@"; do
    if [ -d "$path" ]; then rmdir -- "$path" 2>/dev/null || :; else rm -f -- "$path"; fi
done
"""

_PURGE = (
    "# removing packages\n"
    + _QUIET
    + """
installed=
for name in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' -- "$name" 2>/dev/null) in
    ''|not-installed) ;;
    *) installed="$installed $name" ;;
    esac
done
[ -z "$installed" ] || apt purge $installed
"""
)
