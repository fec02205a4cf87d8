"""The script that asks a machine everything, and the cutting of its answer into sections. Pure."""

from __future__ import annotations

from collections.abc import Mapping

FOLDERS = ("/opt", "/var")
"""Engines and weights are written below the first, state and caches below the second."""
GPU_FIELDS = (
    "index",
    "uuid",
    "name",
    "memory.total",
    "driver_version",
    "compute_cap",
    "pci.bus_id",
    "persistence_mode",
    "mig.mode.current",
    "ecc.mode.current",
)
NEWER_GPU_FIELDS = ("index", "fabric.state", "fabric.status", "gpu_recovery_action")
"""Asked apart: a driver that does not know a field refuses the whole question."""

CLOUD_INIT_WAIT_S = 600
_NVIDIA_WAIT_S = 60
"""Without persistence mode the driver wakes each GPU for each question: seconds on a machine with eight."""

_QUERY = f"timeout {_NVIDIA_WAIT_S} nvidia-smi --format=csv,noheader,nounits --query-gpu"
SCRIPT = f"""\
# read the facts of the machine
section() {{ printf '\\n@@ %s\\n' "$1"; }}
section os
cat /etc/os-release || :
section machine
uname -m
uname -r
cat /proc/sys/kernel/random/boot_id
section memory
grep MemTotal: /proc/meminfo
for folder in {" ".join(FOLDERS)}; do
    section "disk $folder"
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    df -B1 --output=avail "$folder"
done
section systemd
if [ -d /run/systemd/system ]; then echo running; fi
section cloud-init
if command -v cloud-init >/dev/null; then timeout {CLOUD_INIT_WAIT_S} cloud-init status --wait 2>&1 || :; fi
section pci
for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
    echo "$(cat "$device/class") $(cat "$device/device")"
done
section libcuda
ldconfig -p | grep libcuda.so.1 || :
if command -v nvidia-smi >/dev/null; then
    section gpus
    {_QUERY}={",".join(GPU_FIELDS)} 2>&1 || echo "exit $?"
    section gpus-newer
    {_QUERY}={",".join(NEWER_GPU_FIELDS)} 2>&1 || echo "exit $?"
    section topology
    timeout {_NVIDIA_WAIT_S} nvidia-smi topo -m 2>&1 || echo "exit $?"
fi
section addresses
ip -4 -o address show 2>/dev/null || :
section listening
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || :
"""
"""Uses only what every Debian and Ubuntu image has; waits for cloud-init, which still installs on a fresh machine."""


def sections(answer: str) -> Mapping[str, str]:
    """The script's output by section name."""
    parts = ("\n" + answer).split("\n@@ ")[1:]
    return {name.strip(): text.strip("\n") for name, _, text in (part.partition("\n") for part in parts)}
