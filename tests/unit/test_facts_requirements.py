"""What a machine lacks, in sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.facts import Requirements, unmet
from provisioning.facts.parse import parse_facts

_EIGHT_H100 = parse_facts(
    Path(__file__).with_name("facts").joinpath("ubuntu_8x_h100.txt").read_text(encoding="utf-8")
)
_GIB = 1 << 30
_NEEDED = {
    "device": "H100-SXM",
    "device_names": ["H100-SXM", "H100", "H100 80GB HBM3"],
    "device_count": 8.0,
    "min_driver": 580.0,
    "listen_address": "203.0.113.7",
    "memory_bytes": float(64 * _GIB),
    "disk_bytes": {"/opt": float(500 * _GIB)},
}


def _with_gpu(index, **changes):
    gpus = list(_EIGHT_H100.gpus)
    gpus[index] = replace(gpus[index], **changes)
    return replace(_EIGHT_H100, gpus=tuple(gpus))


def test_a_machine_that_has_everything():
    assert unmet(_EIGHT_H100, _NEEDED) == []


_CASES = {
    "other processor": (
        replace(_EIGHT_H100, architecture="riscv64"),
        "is a riscv64 machine and needs to be x86_64 or aarch64",
    ),
    "other system": (
        replace(_EIGHT_H100, os_id="rocky", os_version="9.4", os_like="rhel centos fedora"),
        "runs rocky 9.4 and needs debian or ubuntu; install one of these",
    ),
    "no systemd": (
        replace(_EIGHT_H100, systemd=False),
        "is not run by systemd, which starts and watches every service; use an image that is",
    ),
    "failed first boot": (
        replace(_EIGHT_H100, cloud_init="error"),
        "did not finish its first boot; `cloud-init status --long` there says why",
    ),
    "unfinished first boot": (
        replace(_EIGHT_H100, cloud_init="running"),
        "is still in its first boot (cloud-init: running); run again when it has finished",
    ),
    "an address of a router before it": (
        replace(_EIGHT_H100, addresses=("127.0.0.1", "10.0.0.5", "172.17.0.1")),
        (
            "has no address 203.0.113.7, where its engines are to listen, and its own are 10.0.0.5, 172.17.0.1; "
            "behind NAT give its own as listen_address in the spec"
        ),
    ),
    "little memory": (
        replace(_EIGHT_H100, memory_bytes=62 * _GIB),
        "has 62 GiB of memory and needs 64 GiB",
    ),
    "little disk": (
        replace(_EIGHT_H100, free_bytes={"/opt": 99 * _GIB}),
        "has 99 GiB free in /opt and needs 500 GiB; free some or mount a larger disk there",
    ),
    "fewer GPUs": (
        replace(_EIGHT_H100, gpus=_EIGHT_H100.gpus[:4]),
        "has 4 x NVIDIA H100 80GB HBM3 and the plan asks for 8 x H100-SXM; correct its device or devices in the spec",
    ),
    "another GPU among them": (
        _with_gpu(3, name="NVIDIA H100 PCIe"),
        (
            "has 7 x NVIDIA H100 80GB HBM3 and 1 x NVIDIA H100 PCIe and the plan asks for 8 x H100-SXM; "
            "correct its device or devices in the spec"
        ),
    ),
    "no GPU": (
        replace(_EIGHT_H100, gpus=(), pci_gpus=(), driver_version="", has_libcuda=False),
        "has no NVIDIA GPU and the plan asks for 8 x H100-SXM",
    ),
    "no driver": (
        replace(_EIGHT_H100, gpus=(), driver_version="", has_libcuda=False),
        "has 8 x NVIDIA GPU (10de:2330) without a driver; install driver 580 or newer",
    ),
    "driver updated without a reboot": (
        replace(
            _EIGHT_H100, gpus=(), driver_problem="Failed to initialize NVML: Driver/library version mismatch"
        ),
        (
            'has an NVIDIA driver that does not work ("Failed to initialize NVML: Driver/library version mismatch"); '
            "reboot it if the driver was just updated, else install driver 580 or newer"
        ),
    ),
    "old driver": (
        replace(_EIGHT_H100, driver_version="570.86.10"),
        "has NVIDIA driver 570.86.10 and the planned vLLM needs 580 or newer; install it and reboot",
    ),
    "driver without libraries": (
        replace(_EIGHT_H100, has_libcuda=False),
        "has a driver without libcuda.so.1; install the driver's compute libraries (libnvidia-compute, libcuda1)",
    ),
    "MIG": (
        _with_gpu(5, mig="Enabled"),
        "has GPU 5 divided by MIG; `nvidia-smi -mig 0` and a GPU reset undo that",
    ),
    "NVSwitch": (
        _with_gpu(0, fabric="In Progress"),
        "has GPU 0 waiting for NVSwitch (In Progress); start nvidia-fabricmanager in exactly the driver's version",
    ),
    "faulty GPU": (
        _with_gpu(2, recovery="Reboot"),
        "has GPU 2 faulty and the driver asks for: Reboot; do that first",
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_one_thing_lacking_is_one_sentence(case):
    facts, sentence = _CASES[case]
    assert unmet(facts, _NEEDED) == [sentence]


def test_everything_lacking_is_said_at_once():
    facts = replace(
        _EIGHT_H100, architecture="riscv64", systemd=False, memory_bytes=0, driver_version="535.1"
    )
    assert len(unmet(facts, _NEEDED)) == 4


def test_several_gpus_with_one_trouble_share_a_sentence():
    facts = replace(_EIGHT_H100, gpus=tuple(replace(gpu, mig="Enabled") for gpu in _EIGHT_H100.gpus))
    (sentence,) = unmet(facts, _NEEDED)
    assert sentence.startswith("has GPUs 0, 1, 2, 3, 4, 5, 6, 7 divided by MIG")


def test_gpus_beyond_those_of_the_plan_may_be_anything():
    assert unmet(_with_gpu(7, mig="Enabled", name="NVIDIA T4"), {**_NEEDED, "device_count": 7}) == []


def test_a_plan_without_gpus_does_not_look_at_them():
    facts = replace(_EIGHT_H100, gpus=(), driver_problem="broken", has_libcuda=False)
    assert unmet(facts, {"device": "cpu-lab", "device_count": 1.0, "min_driver": 0.0}) == []


@pytest.mark.parametrize("system", ["ubuntu", "ubuntu 24.04", "debian"])
def test_a_system_by_name_by_version_or_by_likeness(system):
    assert unmet(_EIGHT_H100, Requirements(systems=(system,))) == []


def test_another_version_of_a_system_is_refused():
    assert unmet(_EIGHT_H100, {"systems": ["ubuntu 22.04"]}) == [
        "runs ubuntu 24.04 and needs ubuntu 22.04; install one of these"
    ]


def test_a_requirement_that_is_not_known_is_not_passed_over():
    with pytest.raises(TypeError, match="min_drivr"):
        unmet(_EIGHT_H100, {"min_drivr": 580})


@pytest.mark.parametrize(
    ("listen_address", "addresses"),
    [("10.0.0.5", ("127.0.0.1", "10.0.0.5")), ("gpu-1.example.net", ("10.0.0.5",)), ("203.0.113.7", ())],
    ids=["its own", "a name", "a machine that cannot list its own"],
)
def test_an_address_is_refused_only_where_it_is_known_to_be_another_machines(listen_address, addresses):
    facts = replace(_EIGHT_H100, addresses=addresses)
    assert unmet(facts, {"listen_address": listen_address}) == []
