"""A GPU that is not there, for vLLM's own code that decides how the KV cache is cut up (run by the engine's Python).

Import this before vLLM: the import reads the first line of stdin, null for the CPU or a GPU {"name", "capability",
"memory_bytes"}, and makes vLLM believe in eight of that. Call `complete` when vLLM is imported.

vLLM's CUDA platform is used as it is; only what it would ask the driver is answered here. The compiled kernels of the
GPU wheel, which the CPU wheel lacks, are present as modules and operators that nobody may call: a model is only
built, without weights, never run. So vLLM decides by them as on a real GPU.
"""

# ruff: noqa: PLC0415 - what is imported of vLLM depends on what it believes by then

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from vllm import platforms

# Compiled parts of the GPU wheel and packages that come with it.
_OF_THE_GPU_WHEEL = frozenset(
    {
        "cuda",
        "cutlass",
        "flashinfer",
        "flashinfer_cubin",
        "vllm._C_stable_libtorch",
        "vllm._flashmla_C",
        "vllm._flashmla_extension_C",
        "vllm._moe_C_stable_libtorch",
        "vllm.third_party.deep_gemm",
        "vllm.third_party.flashmla.flash_mla_interface",
        "vllm.vllm_flash_attn._vllm_fa2_C",
        "vllm.vllm_flash_attn._vllm_fa3_C",
    }
)
# Image processing; the engine of the lab is installed without it, and some models import it by name.
_OF_IMAGES = frozenset({"torchvision"})
# Operators that vLLM asks while it is imported, and the compute capability from which each says yes.
_SUPPORTED_FROM = {
    "cutlass_group_gemm_supported": 90,
    "cutlass_scaled_mm_supports_block_fp8": 90,
    "cutlass_scaled_mm_supports_fp4": 100,
    "cutlass_scaled_mm_supports_fp8": 89,
}
_OPERATORS = frozenset({"_C", "_C_cache_ops", "_moe_C", "_qutlass_C"})


class _AnyClass(type):
    """A class with every attribute, so that constants and nested classes of absent packages can be named."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _placeholder(name)


def _placeholder(name: str) -> Any:
    members = {
        "__init__": lambda _self, *_a, **_k: None,
        "__class_getitem__": classmethod(lambda cls, _i: cls),
    }
    return _AnyClass(name, (), members)


class _AbsentModule(types.ModuleType):
    __path__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _placeholder(name)


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that are not installed, and gives them every name that is asked of them."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, *_where: object) -> importlib.machinery.ModuleSpec | None:
        wanted = name in self._names or any(name.startswith(known + ".") for known in self._names)
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if wanted else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _AbsentModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


class _Operator:
    """An operator of the GPU wheel with all its overloads; calling it is a mistake."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, overload: str) -> _Operator:
        if overload.startswith("__"):
            raise AttributeError(overload)
        return self

    def __call__(self, *_args: object, **_kwargs: object) -> None:
        raise NotImplementedError(f"{self._name} is a kernel, and there is no GPU here")


class _Nothing:
    """A CUDA stream or event."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_args, **_kwargs: None


class OnMeta(TorchFunctionMode):
    """Tensors that are asked for on a device by name are made on "meta" too: shapes without memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        kwargs.pop("pin_memory", None)
        if kwargs.get("device") is not None:
            kwargs["device"] = "meta"
        if func in (torch.Tensor.cuda, torch.Tensor.pin_memory):
            return args[0]
        if func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], str | torch.device):
            args = (args[0], "meta", *args[2:])
        return func(*args, **kwargs)


def _become(gpu: Mapping[str, Any]) -> None:
    sys.meta_path.insert(0, _Absent(_OF_THE_GPU_WHEEL))
    level = gpu["capability"][0] * 10 + gpu["capability"][1]
    for operator, least in _SUPPORTED_FROM.items():
        setattr(torch.ops._C, operator, lambda _asked, yes=level >= least: yes)
    _answer_for_the_driver(gpu)
    platforms.current_platform = _platform(gpu)()
    _pretend_triton()


def complete() -> None:
    """Add what may only be added once vLLM is imported: the image package and, on a GPU, the wheel's operators.

    And look at models' classes in this process: vLLM starts another one for it, which takes seconds for each family.
    """
    from vllm.model_executor.models import registry

    registry._run_in_subprocess = lambda inspect: inspect()
    sys.meta_path.insert(0, _Absent(_OF_IMAGES))
    if _GPU:
        _add_operators()


def _add_operators() -> None:
    namespace = type(torch.ops._C)
    known = namespace.__getattr__

    def with_kernels(self: Any, name: str) -> Any:
        try:
            return known(self, name)
        except AttributeError:
            if name.startswith("__") or self.name not in _OPERATORS:
                raise
            return _Operator(name)

    namespace.__getattr__ = with_kernels


def _platform(gpu: Mapping[str, Any]) -> Any:
    from vllm.platforms.cuda import CudaPlatformBase
    from vllm.platforms.interface import DeviceCapability

    class StandIn(CudaPlatformBase):
        """vLLM's CUDA platform with the driver's answers; its ranks would talk by gloo, and never do."""

        dist_backend = "gloo"

        @classmethod
        def get_device_capability(cls, *_args: object, **_kwargs: object) -> DeviceCapability:
            return DeviceCapability(*gpu["capability"])

        @classmethod
        def get_device_name(cls, *_args: object, **_kwargs: object) -> str:
            return str(gpu["name"])

        @classmethod
        def get_device_total_memory(cls, *_args: object, **_kwargs: object) -> int:
            return int(gpu["memory_bytes"])

        @classmethod
        def device_count(cls) -> int:
            return 8

        @classmethod
        def num_compute_units(cls, *_args: object, **_kwargs: object) -> int:
            return 132

        @classmethod
        def is_integrated_gpu(cls, *_args: object, **_kwargs: object) -> bool:
            return False

        @classmethod
        def is_fully_connected(cls, *_args: object, **_kwargs: object) -> bool:
            return True

        @classmethod
        def import_kernels(cls) -> None:
            pass

        @classmethod
        def get_device_communicator_cls(cls) -> str:
            return "vllm.distributed.device_communicators.cpu_communicator.CpuCommunicator"

    return StandIn


def _answer_for_the_driver(gpu: Mapping[str, Any]) -> None:
    properties = SimpleNamespace(
        name=gpu["name"],
        major=gpu["capability"][0],
        minor=gpu["capability"][1],
        total_memory=gpu["memory_bytes"],
        multi_processor_count=132,
        shared_memory_per_block_optin=232_448,
        is_integrated=False,
    )
    torch.cuda.current_device = lambda: 0
    torch.cuda.get_device_capability = lambda *_args: tuple(gpu["capability"])
    torch.cuda.get_device_properties = lambda *_args: properties
    torch.cuda.current_stream = lambda *_args: _Nothing()
    torch.accelerator.current_device_index = lambda: 0
    for module in (torch, torch.cuda):
        module.Stream = module.Event = _Nothing


def _pretend_triton() -> None:
    """Triton comes with the GPU wheel, and with it vLLM takes its second model runner."""
    from vllm import triton_utils
    from vllm.triton_utils import importing

    def configured(
        settings: object, num_warps: int = 4, num_stages: int = 3, **_more: object
    ) -> SimpleNamespace:
        return SimpleNamespace(kwargs=settings, num_warps=num_warps, num_stages=num_stages)

    triton_utils.HAS_TRITON = importing.HAS_TRITON = True
    triton_utils.triton.Config = configured


if _GPU := json.loads(sys.stdin.readline()):
    _become(_GPU)
