"""What is wanted, what is found, what is on record -> what is done. Each row is one situation on a machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.converge.actual import Actual, ActualFile, ActualUnit
from provisioning.converge.changes import Changes, find_changes, restart_digest
from provisioning.converge.record import ServiceRecord, Started
from provisioning.converge.secrets import HIDDEN, complete_key, conceal, fill
from provisioning.state import Artifact, OnChange, RenderedFile, ServiceState, Unit

SECRETS = {"api_key": "k3y"}
UNIT = "/etc/systemd/system/e.service"
ENV = "/etc/e/key.env"
MAP = "/etc/e/map.conf"
WANTED = ServiceState(
    name="e",
    packages=("curl",),
    files={
        UNIT: RenderedFile("[Service]\nExecStart=/bin/e --flag 1\n"),
        ENV: RenderedFile("KEY=${secret:api_key}\n", "0600"),
        MAP: RenderedFile("a b\n", on_change=OnChange.RELOAD),
    },
    directories=("/etc/e",),
    artifacts={"/opt/e": Artifact("v1", "engine", "true")},
    units={"e.service": Unit()},
)
FILES = {
    UNIT: ActualFile("[Service]\nExecStart=/bin/e --flag 1\n", "0644", "root", "root"),
    ENV: ActualFile("KEY=k3y\n", "0600", "root", "root"),
    MAP: ActualFile("a b\n", "0644", "root", "root"),
}
RUNNING = ActualUnit(enabled=True, active=True, state="active (running)", invocation="i1")
FOUND = Actual(FILES, {"e.service": RUNNING}, frozenset({"curl"}), {"/opt/e": "v1"})
RECORD = ServiceRecord(
    files={UNIT: "", ENV: "", MAP: ""},
    units=("e.service",),
    started={"e.service": Started(restart_digest(WANTED, SECRETS), "i1")},
)
EDITED_UNIT = replace(FILES[UNIT], text="[Service]\nExecStart=/bin/e --flag 2\n")


def found(**files: ActualFile | None) -> Actual:
    """FOUND with some of its files replaced, or taken away."""
    paths = {"unit": UNIT, "env": ENV, "map": MAP, "extra": "/etc/e/extra"}
    merged = {**FILES, **{paths[name]: file for name, file in files.items()}}
    return replace(FOUND, files={path: file for path, file in merged.items() if file})


def unit(**fields: object) -> Actual:
    return replace(FOUND, units={"e.service": replace(RUNNING, **fields)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("actual", "record", "expected"),
    [
        pytest.param(FOUND, RECORD, Changes(), id="all as wanted: nothing"),
        pytest.param(
            Actual(),
            ServiceRecord(),
            Changes(
                packages=("curl",),
                artifacts=("/opt/e",),
                put=(ENV, MAP, UNIT),
                enable=("e.service",),
                start=("e.service",),
            ),
            id="a bare machine: everything",
        ),
        pytest.param(
            found(unit=EDITED_UNIT),
            RECORD,
            Changes(put=(UNIT,)),
            id="the unit was edited but its process never restarted: put back, keep serving",
        ),
        pytest.param(
            replace(found(unit=EDITED_UNIT), units={"e.service": replace(RUNNING, invocation="i2")}),
            RECORD,
            Changes(put=(UNIT,), restart=("e.service",)),
            id="the unit was edited and restarted: put back and restart",
        ),
        pytest.param(
            unit(invocation="i2"),
            RECORD,
            Changes(),
            id="the process crashed and systemd restarted it: nothing",
        ),
        pytest.param(found(env=None), RECORD, Changes(put=(ENV,)), id="a deleted file is put back"),
        pytest.param(
            found(env=replace(FILES[ENV], mode="0644")),
            RECORD,
            Changes(attributes=(ENV,)),
            id="a changed mode is mended without a restart",
        ),
        pytest.param(
            found(extra=FILES[MAP]), RECORD, Changes(remove=("/etc/e/extra",)), id="an extra file is removed"
        ),
        pytest.param(
            found(map=replace(FILES[MAP], text="c d\n")),
            RECORD,
            Changes(put=(MAP,), reload=("e.service",)),
            id="a file that only needs a reload",
        ),
        pytest.param(
            unit(enabled=False, active=False, state="inactive (dead)"),
            RECORD,
            Changes(enable=("e.service",), start=("e.service",)),
            id="stopped and disabled: enabled and started",
        ),
        pytest.param(
            unit(enabled=False),
            RECORD,
            Changes(enable=("e.service",)),
            id="disabled but running: only enabled",
        ),
        pytest.param(
            unit(active=False, state="active (exited)"),
            RECORD,
            Changes(restart=("e.service",)),
            id="systemd calls it active, but its work was undone: restarted",
        ),
        pytest.param(
            FOUND,
            replace(RECORD, started={"e.service": Started("another", "i1")}),
            Changes(restart=("e.service",)),
            id="the files are new but the process is old (a run was killed in between): restarted",
        ),
        pytest.param(
            replace(FOUND, artifacts={"/opt/e": "v0"}),
            RECORD,
            Changes(artifacts=("/opt/e",)),
            id="another version of the engine stands there",
        ),
        pytest.param(
            FOUND,
            replace(RECORD, files={**RECORD.files, "/etc/e/old": ""}, units=("e.service", "old.service")),
            Changes(drop_units=("old.service",), remove=("/etc/e/old",)),
            id="what an earlier version had is taken away",
        ),
    ],
)
def test_only_what_differs_is_done(actual: Actual, record: ServiceRecord, expected: Changes) -> None:
    assert find_changes(WANTED, actual, record, SECRETS) == expected


def test_a_rotated_secret_restarts_the_unit() -> None:
    changes = find_changes(WANTED, FOUND, RECORD, {"api_key": "new"})
    assert (changes.put, changes.restart) == ((ENV,), ("e.service",))


def test_an_artifact_is_made_anew_from_another_secret_and_asks_for_what_it_says() -> None:
    certificate = Artifact("v1", "certificate", "true", made_from=("api_key",), on_change=OnChange.RELOAD)
    wanted = replace(WANTED, artifacts={"/opt/e": certificate})
    made = replace(FOUND, artifacts={"/opt/e": complete_key(certificate, SECRETS)})
    record = replace(RECORD, started={"e.service": Started(restart_digest(wanted, SECRETS), "i1")})
    assert find_changes(wanted, made, record, SECRETS) == Changes()
    stale = replace(FOUND, artifacts={"/opt/e": complete_key(certificate, {"api_key": "old"})})
    assert find_changes(wanted, stale, record, SECRETS) == Changes(
        artifacts=("/opt/e",), reload=("e.service",)
    )
    restarting = replace(WANTED, artifacts={"/opt/e": replace(certificate, on_change=OnChange.RESTART)})
    assert find_changes(restarting, stale, record, SECRETS).restart == ("e.service",)


def test_what_marks_a_folder_that_is_made_from_a_secret_does_not_tell_it() -> None:
    assert complete_key(Artifact("v1", "engine", "${secret:api_key}"), SECRETS) == "v1"
    assert "k3y" not in complete_key(Artifact("v1", "x", "true", made_from=("api_key",)), SECRETS)


def test_a_wanted_stop_stops_and_disables() -> None:
    stopped = replace(WANTED, units={"e.service": Unit(enabled=False, active=False)})
    changes = find_changes(stopped, FOUND, RECORD, SECRETS)
    assert (changes.disable, changes.stop, changes.restart) == (("e.service",), ("e.service",), ())


def test_no_changes_are_false_and_any_change_is_true() -> None:
    assert not Changes()
    assert Changes(reload=("e.service",))


def test_a_secret_is_filled_in_and_taken_out_again() -> None:
    rendered = RenderedFile("A=1\nKEY=${secret:api_key}\n", "0600")
    on_machine = fill(rendered.text, SECRETS)
    assert on_machine == "A=1\nKEY=k3y\n"
    assert conceal(on_machine, rendered, SECRETS) == rendered.text


def test_what_differs_in_a_file_with_a_secret_is_named_but_never_shown() -> None:
    rendered = RenderedFile("A=1\nKEY=${secret:api_key}\n", "0600")
    shown = conceal("A=1\nKEY=k3y-edited\n", rendered, SECRETS)
    assert shown == f"A=1\n{HIDDEN}\n"


def test_a_file_without_a_secret_is_shown_as_it_is() -> None:
    assert conceal("edited\n", RenderedFile("wanted\n"), SECRETS) == "edited\n"
