"""From a machine's answer to its facts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.facts import facts_from_properties, facts_to_properties
from provisioning.facts.nvidia import parse_gpus, parse_topology
from provisioning.facts.parse import parse_facts
from provisioning.facts.questions import SCRIPT, sections

_ANSWERS = Path(__file__).with_name("facts")
_H100 = "0, GPU-0, NVIDIA H100 80GB HBM3, 81559, 590.48.01, 9.0, 00000000:00:09.0, Enabled, Disabled, Enabled"
_H100_MIG = (
    "0, GPU-0, NVIDIA H100 80GB HBM3, 81559, 590.48.01, 9.0, 00000000:00:09.0, Enabled, Enabled, Enabled"
)
_L40S = "0, GPU-0, NVIDIA L40S, 46068, 595.80, 8.9, 00000000:01:00.0, Disabled, [N/A], Enabled"
_RTX_4080 = (
    "0, GPU-0, NVIDIA GeForce RTX 4080 SUPER, 16376, 595.71.05, 8.9, 00000000:01:00.0, Disabled, [N/A], [N/A]"
)


def _answer(name: str) -> str:
    return (_ANSWERS / f"{name}.txt").read_text(encoding="utf-8")


def test_a_machine_with_eight_h100():
    facts = parse_facts(_answer("ubuntu_8x_h100"))
    assert (facts.os_id, facts.os_version, facts.os_like) == ("ubuntu", "24.04", "debian")
    assert (facts.architecture, facts.kernel) == ("x86_64", "6.8.0-79-generic")
    assert facts.memory_bytes == 2113511424 * 1024
    assert facts.free_bytes == {"/opt": 1759218604442, "/var": 1759218604442}
    assert facts.systemd
    assert facts.cloud_init == "done"
    assert facts.pci_gpus == ("10de:2330",) * 8  # and not the four NVSwitches beside them
    assert facts.driver_version == "580.173.02"
    assert facts.has_libcuda
    assert [gpu.index for gpu in facts.gpus] == list(range(8))
    assert {gpu.memory_bytes for gpu in facts.gpus} == {81559 << 20}
    assert facts.gpus[7].pci_address == "00000000:DF:00.0"
    assert facts.gpus[0].fabric == "Completed, Success"
    assert facts.nvlinks == tuple(tuple(0 if i == j else 18 for j in range(8)) for i in range(8))
    assert facts.listening_ports == (22, 53)  # and not the established connection
    assert facts.addresses == ("127.0.0.1", "203.0.113.7", "172.17.0.1")


def test_a_lab_node_without_gpus():
    facts = parse_facts(_answer("debian_lab_node"))
    assert (facts.os_id, facts.os_version, facts.systemd) == ("debian", "12", True)
    assert (facts.gpus, facts.pci_gpus, facts.driver_version, facts.driver_problem) == ((), (), "", "")
    assert facts.nvlinks == ()
    assert 22 in facts.listening_ports
    assert facts.addresses == ("127.0.0.1", "198.19.77.10")


@pytest.mark.parametrize("name", ["ubuntu_8x_h100", "debian_lab_node"])
def test_lasting_facts_survive_the_state_where_numbers_are_floats(name):
    properties = facts_to_properties(parse_facts(_answer(name)))
    assert facts_to_properties(facts_from_properties(_as_floats(properties))) == properties


def test_what_our_own_services_change_is_not_kept_in_the_state():
    properties = facts_to_properties(parse_facts(_answer("ubuntu_8x_h100")))
    assert not {"free_bytes", "listening_ports", "addresses"} & properties.keys()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (_H100, ("NVIDIA H100 80GB HBM3", 81559 << 20, "9.0", "Disabled", "Enabled")),
        (_H100_MIG, ("NVIDIA H100 80GB HBM3", 81559 << 20, "9.0", "Enabled", "Enabled")),
        (_L40S, ("NVIDIA L40S", 46068 << 20, "8.9", "", "Enabled")),
        (_RTX_4080, ("NVIDIA GeForce RTX 4080 SUPER", 16376 << 20, "8.9", "", "")),
    ],
)
def test_a_gpu_in_the_words_of_its_driver(line, expected):
    (gpu,) = parse_gpus(line, "").gpus
    assert (gpu.name, gpu.memory_bytes, gpu.compute_capability, gpu.mig, gpu.ecc) == expected


def test_memory_that_the_driver_does_not_tell_is_zero_not_an_error():
    (gpu,) = parse_gpus(_H100.replace("81559", "[N/A]"), "").gpus
    assert gpu.memory_bytes == 0


@pytest.mark.parametrize(
    ("newer", "fabric", "recovery"),
    [
        ("0, Completed, Success, None", "Completed, Success", "None"),
        ("0, N/A, N/A, None", "", "None"),
        ("0, In Progress, N/A, Reset", "In Progress", "Reset"),
        ('Field "fabric.state" is not a valid field to query.\nexit 2', "", ""),
    ],
)
def test_fields_that_only_newer_drivers_know(newer, fabric, recovery):
    (gpu,) = parse_gpus(_H100, newer).gpus
    assert (gpu.fabric, gpu.recovery) == (fabric, recovery)


@pytest.mark.parametrize(
    "said",
    [
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
            "NVIDIA driver is installed and running."
        ),
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.173",
        "No devices were found",
    ],
)
def test_a_driver_that_fails_is_quoted(said):
    driver = parse_gpus(f"{said}\nexit 9", "")
    assert (driver.gpus, driver.version) == ((), "")
    assert driver.problem == said.replace("\n", " ")


def test_a_driver_that_hangs_is_a_problem_and_one_that_is_not_there_is_none():
    assert parse_gpus("exit 124", "").problem == "nvidia-smi says nothing (exit 124)"
    assert parse_gpus("", "").problem == ""


def test_links_between_gpus_on_pcie_and_one_nvlink_bridge():
    topology = (
        "\t\x1b[4mGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\x1b[0m\n"
        "GPU0\t X \tNV4\tSYS\tPIX\t0-23\t0\t\tN/A\n"
        "GPU1\tNV4\t X \tPHB\tNODE\t0-23\t0\t\tN/A\n"
        "GPU2\tSYS\tPHB\t X \tSYS\t24-47\t1\t\tN/A\n"
        "NIC0\tPIX\tNODE\tSYS\t X \t\t\t\t\n\nLegend:\n\n  X    = Self\n"
    )
    assert parse_topology(topology) == ((0, 4, 0), (4, 0, 0), (0, 0, 0))


def test_one_gpu_has_no_links():
    assert parse_topology("\t\x1b[4mGPU0\tCPU Affinity\x1b[0m\nGPU0\t X \t0-7\n\nLegend:\n") == ((0,),)


@pytest.mark.parametrize("text", ["", "Topology information not available\nexit 1"])
def test_no_matrix_is_no_links(text):
    assert parse_topology(text) == ()


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("status: done", "done"),
        (".....\nstatus: error\n", "error"),
        ("\nstatus: disabled\nextended_status: disabled", "disabled"),
        ("", ""),
        ("Traceback (most recent call last):", "unknown"),
    ],
)
def test_the_state_of_the_first_boot(said, status):
    answer = _answer("ubuntu_8x_h100").replace("......\nstatus: done", said)
    assert parse_facts(answer).cloud_init == status


@pytest.mark.parametrize("section", ["os", "machine", "memory", "systemd", "listening"])
def test_an_answer_without_a_needed_section_names_it(section):
    answer = _answer("ubuntu_8x_h100").replace(f"@@ {section}\n", "@@ other\n")
    with pytest.raises(ValueError, match=f"no section '{section}'"):
        parse_facts(answer)


def test_every_section_that_is_parsed_is_asked_for():
    for name in sections(_answer("ubuntu_8x_h100")):
        assert f"section {name.split()[0]}" in SCRIPT.replace('"', "")


@given(st.text())
def test_no_answer_at_all_makes_the_gpu_parsers_fail(text):
    parse_gpus(text, text)
    parse_topology(text)


def _as_floats(value):
    """What a number becomes on its way through Pulumi's state."""
    if isinstance(value, dict):
        return {key: _as_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
