"""A ring of small services behind a gateway that is a script: it keeps who is in, and writes down what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioning.state import OnChange, RenderedFile, Rotation, ServiceState
from support.pulumi_stacks import Stack
from support.shell import Shell
from support.small_service import on_lab_node, renamed, service_on, web

MEMBERS = ("m-0", "m-1", "m-2")
ROTATE = "/etc/agentfleet-ring/rotate"
RING = "/run/agentfleet-ring"

ROTATE_TEXT = """\
#!/bin/sh -eu
# out: RING/NAME.out holds who took the member out; RING/NAME.in-flight counts down with every question.
ring=/run/agentfleet-ring verb=$1 name=${2:-}
mkdir -p "$ring"
case " MEMBERS " in *" $name "*) ;; *) [ "$verb" = status ] || exit 3 ;; esac
by=$(cat "$ring/$name.out" 2>/dev/null || :)
case $verb in
out)
    echo "$*" >>"$ring/calls"
    [ "$by" = operator ] || echo "$3" >"$ring/$name.out" ;;
in)
    serves=$(curl -s -o /dev/null "http://$3/index.html" && echo serves || echo silent)
    echo "$* $serves" >>"$ring/calls"
    [ "$4:$by" = update:operator ] || rm -f "$ring/$name.out" ;;
in-flight)
    left=$(cat "$ring/$name.in-flight" 2>/dev/null || echo 0)
    [ "$left" = 0 ] || echo $((left - 1)) >"$ring/$name.in-flight"
    echo "$left" ;;
status)
    printf '{"pools": {"p": {"replicas": {'
    comma=
    for name in MEMBERS; do
        by=$(cat "$ring/$name.out" 2>/dev/null || :)
        state=in; [ -z "$by" ] || state=out
        printf '%s"%s": {"ring": "%s", "out_by": "%s", "healthy": true}' "$comma" "$name" "$state" "$by"
        comma=,
    done
    echo '}}}}' ;;
esac
"""


def member(number: int, flags: str = "", note: str = "") -> ServiceState:
    """A web server of the ring; a change of `flags` restarts it, one of `note` does not."""
    name, port = MEMBERS[number], 8000 + number
    service = renamed(web(port, flags), f"agentfleet-{name}")
    notes = {f"/etc/agentfleet-{name}/note": RenderedFile(note, on_change=OnChange.NOTHING)}
    rotation = Rotation("test/p", name, f"127.0.0.1:{port}", (ROTATE,), 120)
    return replace(service, name=name, files={**service.files, **notes}, rotation=rotation)


def ring_of(stack: Stack, services: Sequence[ServiceState]) -> dict[str, Any]:
    """Resources: one lab node with all of them and their gateway, which comes last and knows every member."""
    machine = {name: item for name, item in on_lab_node(stack, web()).items() if name != "web"}
    members = {one.name: {**service_on(stack, "h1", one), "gateway": "h1"} for one in services}
    text = ROTATE_TEXT.replace("MEMBERS", " ".join(MEMBERS))
    gateway = ServiceState("gateway", files={ROTATE: RenderedFile(text, "0755")})
    return {
        **machine,
        **members,
        "gateway": {**service_on(stack, "h1", gateway, {}), "after": list(members)},
    }


def calls(shell: Shell) -> list[str]:
    """What the gateway was told since the last look."""
    return shell.run(f"cat {RING}/calls 2>/dev/null; rm -f {RING}/calls").splitlines()


def out_of_the_ring(shell: Shell) -> Mapping[str, str]:
    """Who is out, and by whom."""
    lines = shell.run(f"cd {RING}; grep -s . /dev/null *.out || true").splitlines()
    return dict(line.replace(".out", "").split(":") for line in lines)


def starts(shell: Shell) -> list[str]:
    """The identity of each member's running process."""
    units = " ".join(f"agentfleet-{name}.service" for name in MEMBERS)
    return [line for line in shell.run(f"systemctl show --value -p InvocationID {units}").split() if line]
