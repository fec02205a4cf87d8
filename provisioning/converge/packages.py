"""The distribution's packages: what an install would bring is written down first, and that alone is removed later.

They are brought for their programs: a service has a unit of its own, so what the packages themselves would start, on a
port that everybody can reach, is neither started nor enabled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from provisioning.converge.record import Install, Record, needed_packages
from provisioning.ssh import Connection

LOCK_WAIT_S = 300
"""How long apt waits for another package manager, such as the first boot's own upgrades."""


LEAVINGS = {
    "haproxy": ("/run/haproxy",),
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


def keep_idle(shell: Connection, record: Record) -> Record:
    """Disable the units that came with new packages, once for each install; the record that names them.

    A unit that runs from another file than the package's is the operator's, and one that he enables later is his will.
    """

    def look_at(item: Install) -> Install:
        if item.idle is not None or not item.brought:
            return item
        answer = shell.script(_KEEP_IDLE, *item.brought, timeout_s=120).stdout
        return replace(item, idle=parse_idle(answer))

    return replace(record, installs=tuple(look_at(item) for item in record.installs))


def parse_idle(answer: str) -> tuple[str, ...] | None:
    """The units that were disabled; None while the packages are not all there."""
    lines = answer.splitlines()
    return None if "missing" in lines else tuple(line.removeprefix("idle ") for line in lines if line)


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
SYSTEMD_OFFLINE=1 dpkg --configure -a >/dev/null
if ! apt install --no-install-recommends --simulate "$@" 2>/dev/null; then
    update
    apt install --no-install-recommends --simulate "$@"
fi
"""
)

# With SYSTEMD_OFFLINE (systemd's own, for images that are not booted) systemctl leaves PID 1 alone, so no package's
# script starts anything; being no file, it cannot outlive an install that is killed, as a policy-rc.d can.
_INSTALL = (
    "# installing packages\n"
    + _QUIET
    + "export SYSTEMD_OFFLINE=1\n"
    + 'apt install --no-install-recommends "$@" || { update; apt install --no-install-recommends "$@"; }'
)

_KEEP_IDLE = r"""# keeping packages' own units idle
for name in "$@"; do
    case $(dpkg-query -W -f '${db:Status-Status}' -- "$name" 2>/dev/null) in
    installed) ;;
    *) echo missing; exit 0 ;;
    esac
done
systemctl daemon-reload
kinds='(service|socket|timer|path)'
for unit in $(dpkg-query -L "$@" | sed -nE "s,^(/usr)?/lib/systemd/system/([^/@]+\.$kinds)\$,\2,p" | sort -u); do
    case $(systemctl show --value -p FragmentPath -- "$unit") in
    /lib/systemd/system/*|/usr/lib/systemd/system/*) ;;
    *) continue ;;
    esac
    if [ "$(systemctl is-enabled -- "$unit" 2>/dev/null)" = enabled ]; then
        systemctl disable --now --quiet -- "$unit" >&2
        echo "idle $unit"
    fi
done
"""

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
