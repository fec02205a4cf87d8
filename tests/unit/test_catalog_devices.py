"""The catalog of devices: every entry follows its schema, names resolve, prices have a date and a source."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from infra.catalog import devices as module
from infra.catalog.devices import Device, Price, device_named, device_of_memory, load_devices
from infra.errors import SizingError

GIB = 1 << 30
ENTRIES = json.loads(Path(module.__file__).with_name("devices.json").read_text())["devices"]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_follows_the_schema(entry):
    device = TypeAdapter(Device).validate_json(json.dumps(entry))
    assert device.kind in {"gpu", "cpu"}
    assert device.link in {"nvlink", "infinity-fabric", "pcie", "none"}
    assert (device.link_bytes_per_s is None) == (device.link == "none")
    assert device.memory_bytes > GIB
    assert device.memory_source
    assert device.generation
    if device.price:
        assert device.price.source
        assert device.price.date.startswith("20")
        assert device.price.usd_per_hour > 0


def test_names_and_aliases_are_unambiguous():
    owners: dict[str, set[str]] = {}
    for entry in ENTRIES:
        for word in (entry["name"], *entry["aliases"]):
            owners.setdefault(module._spelling(word), set()).add(entry["name"])
    assert [names for names in owners.values() if len(names) > 1] == []


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("H100 80GB", "H100-SXM"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("h200", "H200"),
        ("rtx pro 6000 blackwell", "RTX-PRO-6000"),
        ("A100 40GB", "A100-40GB"),
        ("cpu-lab", "CPU"),
    ],
)
def test_a_device_goes_by_several_names(written, name):
    assert device_named(written).name == name


@pytest.mark.parametrize("written", ["A100", "H300", "", "GPU"])
def test_an_unknown_or_ambiguous_name_is_refused_with_the_nearest(written):
    with pytest.raises(SizingError, match=r"^gpu: .* is not in the catalog of devices; did you mean \w+"):
        device_named(written)


def test_the_gpus_that_people_rent_are_there():
    wanted = "A100-40GB A100-80GB-PCIe A100-80GB-SXM A10G L4 L40S RTX-3090 RTX-4090 RTX-5090 RTX-PRO-6000 H100-PCIe"
    wanted += " H100-SXM H100-NVL H200 B200 GH200-96GB MI300X CPU"
    assert set(wanted.split()) <= set(load_devices())


def test_an_80_gb_h100_has_less_than_80_gib():
    assert device_named("H100").memory_bytes / GIB == pytest.approx(79.19, abs=0.001)


def test_prices_of_the_sizing_article_of_march_2026_are_kept_with_their_date():
    prices = {name: device.price.usd_per_hour for name, device in load_devices().items() if device.price}
    assert prices == {"A100-80GB-PCIe": 1.04, "H100-PCIe": 2.01, "H100-SXM": 2.40, "H200": 3.70, "B200": 2.01}
    assert device_named("B200").price == Price(
        2.01, "2026-03-24", device_named("H200").price.source, spot=True
    )


def test_an_unnamed_gpu_is_taken_for_the_one_that_has_its_memory():
    taken = device_of_memory(round(79.18 * GIB))
    assert (taken.name, taken.generation) == ("H100-SXM", "hopper")
    assert taken.memory_bytes == round(79.18 * GIB)
    unknown = device_of_memory(50 * GIB)
    assert (unknown.name, unknown.generation) == ("unnamed GPU of 50.00 GiB", "")
