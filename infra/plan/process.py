"""How a replica's process is run: its names on the node, its environment, and what its unit may touch.

The directives are those that were run against the real engine with systemd 252. Never to be added:
MemoryDenyWriteExecute (just-in-time compilation dies), ProcSubset=pid (torch.compile dies), PrivateDevices on a GPU
node (hides the GPUs), ProtectClock (hides every device on some versions of systemd).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from infra.plan.fleet_plan import Setting

_USER_NAME_MOST = 31
"""systemd refuses longer names for a user that it makes itself (DynamicUser=yes)."""

KEEP_ALIVE_S = 120
"""How long the engine keeps an idle connection; its own default is 5 s, under which a gateway would use dead ones."""

_HOMES = ("/home", "/root", "/run/user")


def unit_name(fleet: str, service: str) -> str:
    """Name of a service's unit without `.service`: also of its state and cache folders."""
    return f"agentfleet-{fleet}-{service}"


def user_name(unit: str) -> str:
    """The unit's name where it fits into 31 characters, else its head and a digest of the whole."""
    if len(unit) <= _USER_NAME_MOST:
        return unit
    digest = hashlib.sha256(unit.encode()).hexdigest()[:8]
    return f"{unit[: _USER_NAME_MOST - 9]}-{digest}"


def environment(
    unit: str, engine_folder: str, gpu_ids: tuple[int, ...], *, lab: bool, ready_timeout_s: int
) -> tuple[Setting, ...]:
    """Environment variables of one replica, none of them secret. A replica without GPUs runs on the CPU."""
    return (
        *_common(unit, engine_folder, ready_timeout_s),
        *(_gpu(engine_folder, gpu_ids) if gpu_ids else _cpu(lab=lab)),
    )


def _common(unit: str, engine_folder: str, ready_timeout_s: int) -> Iterator[Setting]:
    state, cache = f"/var/lib/{unit}", f"/var/cache/{unit}"
    path = f"{engine_folder}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    yield Setting("PATH", path, "just-in-time compilers run the engine's own ninja")
    yield Setting("HOME", state, "the unit's user has no home of its own")
    yield Setting("XDG_CACHE_HOME", cache, "whatever else caches does it where the unit may write")
    yield Setting("VLLM_CACHE_ROOT", f"{cache}/vllm", "compiled graphs survive a restart")
    yield Setting("TRITON_CACHE_DIR", f"{cache}/triton", "compiled kernels survive a restart")
    yield Setting("HF_HUB_OFFLINE", "1", "serve only the files that were brought here")
    yield Setting("VLLM_NO_USAGE_STATS", "1", "no telemetry")
    yield Setting("DO_NOT_TRACK", "1", "no telemetry")
    yield Setting(
        "VLLM_HOST_IP", "127.0.0.1", "all parts of a replica are on this node: nothing listens outside"
    )
    yield Setting(
        "GLOO_SOCKET_IFNAME", "lo", "all parts of a replica are on this node: nothing listens outside"
    )
    yield Setting(
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
        str(KEEP_ALIVE_S),
        "a gateway gives up an idle connection before the engine does, so none dies under a request",
    )
    yield Setting("VLLM_ENGINE_READY_TIMEOUT_S", str(ready_timeout_s), "engine.ready_timeout_s")


def _gpu(engine_folder: str, gpu_ids: tuple[int, ...]) -> Iterator[Setting]:
    yield Setting("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "CUDA counts as nvidia-smi does, not by speed")
    yield Setting("CUDA_VISIBLE_DEVICES", ",".join(map(str, gpu_ids)), "this replica's GPUs alone")
    yield Setting(
        "CUDA_HOME", f"{engine_folder}/cuda", "the toolkit that the engine was locked with, for FlashInfer"
    )
    if len(gpu_ids) > 1:
        yield Setting("NCCL_SOCKET_IFNAME", "lo", "GPUs of one node find each other without its network")
        yield Setting("NCCL_DEBUG", "WARN", "say why when GPUs cannot talk to each other")


def _cpu(*, lab: bool) -> Iterator[Setting]:
    yield Setting("VLLM_ENABLE_V1_MULTIPROCESSING", "0", "no worker of its own, which would take 0.9 GiB")
    yield Setting("VLLM_CPU_OMP_THREADS_BIND", "nobind", "replicas of one machine share its cores")
    if lab:
        yield Setting("OMP_NUM_THREADS", "1", "lab nodes share the computer's cores")


def directives(gpu_ids: tuple[int, ...], weights_folder: str, *, strict: bool) -> tuple[Setting, ...]:
    """Limits and hardening of the unit, beyond what DynamicUser=yes brings (read-only system, private /tmp)."""
    return (
        *_limits(gpu_ids),
        *_hardening(weights_folder, gpu=bool(gpu_ids)),
        *(_strict() if strict else ()),
    )


def _limits(gpu_ids: tuple[int, ...]) -> Iterator[Setting]:
    yield Setting("LimitNOFILE", "65536", "one connection per session, and the engine asks for 65535")
    if len(gpu_ids) > 1:
        yield Setting("LimitMEMLOCK", "infinity", "NCCL pins its buffers; the default of 8 MiB stops it")


def _hardening(weights_folder: str, *, gpu: bool) -> Iterator[Setting]:
    in_home = any(weights_folder.startswith(f"{home}/") for home in _HOMES)
    reason = "the weights are in a home" if in_home else "the engine needs nothing there"
    yield Setting("ProtectHome", "read-only" if in_home else "yes", reason)
    if not gpu:
        yield Setting("PrivateDevices", "yes", "no device is needed")
    for name in ("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups",
                 "ProtectHostname", "RestrictRealtime", "RestrictSUIDSGID"):  # fmt: skip
        yield Setting(name, "yes", "never needed by the engine")
    yield Setting("UMask", "0077", "caches are nobody else's business")


def _strict() -> Iterator[Setting]:
    """What RDMA and NVLink fabrics may need, and engine.hardening: relaxed leaves out."""
    yield Setting("CapabilityBoundingSet", "", "no privilege at all")
    yield Setting("RestrictNamespaces", "yes", "never needed by the engine")
    yield Setting("LockPersonality", "yes", "never needed by the engine")
    yield Setting("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6 AF_NETLINK", "no raw or RDMA sockets")
    yield Setting("SystemCallArchitectures", "native", "no 32-bit calls")
    yield Setting(
        "SystemCallFilter", "@system-service pidfd_getfd", "GPUs of one replica share memory by pidfd_getfd"
    )
    yield Setting(
        "SystemCallErrorNumber", "EPERM", "a refused call is an error in the log, not a killed engine"
    )
