"""Members of a ring are changed one by one: out, drained, changed, in when they serve; a failure stops the rest."""

from __future__ import annotations

import re

from support.pulumi_stacks import UP, Stack
from support.small_ring import (
    MEMBERS,
    RING,
    ROTATE,
    calls,
    member,
    out_of_the_ring,
    ring_of,
    starts,
)
from support.waiting import wait_for_output


def declare(stack: Stack, flags: str = "", note: str = "", count: int = 3) -> None:
    stack.declare(ring_of(stack, [member(number, flags, note) for number in range(count)]))


def turns_of(lines: list[str]) -> list[str]:
    """Whose turns these calls are, in their order; a turn is `out` and `in` of one member, with nobody's in between."""
    pairs = list(zip(lines[::2], lines[1::2], strict=True))
    for out, back in pairs:
        name = out.split()[1]
        assert out == f"out {name} update"
        assert back == f"in {name} 127.0.0.1:800{name[-1]} update serves"
    return [out.split()[1] for out, _ in pairs]


def test_members_are_changed_one_at_a_time_and_only_when_their_process_is_touched(stack: Stack) -> None:
    declare(stack)
    stack.up()
    shell = stack.shell()
    assert calls(shell) == []
    shell.run(f"mkdir -p {RING}; echo 3 >{RING}/m-1.in-flight")
    before = starts(shell)
    declare(stack, flags="--protocol HTTP/1.1")
    said = stack.up().stdout
    assert sorted(turns_of(calls(shell))) == list(MEMBERS)
    assert not {*before} & {*starts(shell)}
    assert re.search(r"m-1: \d requests? in flight", said)
    assert out_of_the_ring(shell) == {}

    before = starts(shell)
    shell.run(f"{ROTATE} out m-1 operator")
    stack.up("--refresh", "--expect-no-changes")
    calls(shell)
    declare(stack, flags="--protocol HTTP/1.1", note="looked at by nobody")
    stack.up()
    assert [line.split()[0] for line in calls(shell)] == ["in"] * 3
    assert starts(shell) == before
    assert out_of_the_ring(shell) == {"m-1": "operator"}

    shell.run(f"echo 3 >{RING}/m-2.in-flight")
    declare(stack, flags="--protocol HTTP/1.1", note="looked at by nobody", count=2)
    said = stack.up().stdout
    assert calls(shell) == ["out m-2 update"]
    assert re.search(r"m-2: \d requests? in flight", said)
    assert starts(shell) == before[:2]


def test_a_failure_stops_the_rest_with_all_of_them_serving_as_before(stack: Stack) -> None:
    declare(stack)
    stack.up()
    shell = stack.shell()
    before = starts(shell)
    declare(stack, flags="--nonsense")
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert "(the previous version is running again)" in failed.stdout
    [unlucky] = turns_of(calls(shell))
    rest = [name for name in MEMBERS if name != unlucky]
    for name in rest:
        because = f"the change of {unlucky}, of the same ring test/p, did not succeed in this run"
        assert f"{name} was left as it was, serving: {because}" in failed.stdout
    after = dict(zip(MEMBERS, starts(shell), strict=True))
    assert [name for name, was in zip(MEMBERS, before, strict=True) if after[name] == was] == rest
    assert out_of_the_ring(shell) == {}
    declare(stack)
    stack.up("--refresh")
    assert starts(shell) == list(after.values())


def test_a_member_that_a_killed_run_left_out_is_put_in_again(stack: Stack) -> None:
    declare(stack)
    stack.up()
    shell = stack.shell()
    shell.run(f"mkdir -p {RING}; for name in {' '.join(MEMBERS)}; do echo 9999 >{RING}/$name.in-flight; done")
    declare(stack, flags="--protocol HTTP/1.1")
    process = stack.start(*UP)
    wait_for_output(process, "requests in flight")
    stack.kill(process)
    stack.unlock()
    [(left, by)] = out_of_the_ring(shell).items()
    assert by == "update"
    shell.run(f"rm {RING}/*.in-flight")
    declare(stack)
    drift = stack.run("preview", "--refresh", "--diff").stdout
    assert re.search(r"~ in_ring\s*: true => false", drift)
    before = starts(shell)
    calls(shell)
    stack.up("--refresh")
    assert [line.split()[:2] for line in calls(shell)] == [["in", left]]
    assert (out_of_the_ring(shell), starts(shell)) == ({}, before)
