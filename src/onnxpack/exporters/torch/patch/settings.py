"""Keep PyTorch's settings of the process and the thread, which a model's code can change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib.util import find_spec

import torch

from onnxpack.exporters.exclusive import Setting, settings_kept
from onnxpack.exporters.replaced import existing

TORCHSCRIPT_EXPORTER = "torch.onnx._internal.torchscript_exporter"
"""The module in which PyTorch 2.9 to 2.14 keep the exporter that they call legacy."""


@cache
def has_torchscript_exporter() -> bool:
    """Return whether this PyTorch still has the exporter of TorchScript modules."""
    return find_spec(TORCHSCRIPT_EXPORTER) is not None


@contextmanager
def torch_settings_kept() -> Iterator[None]:
    """Restore the random state, the defaults and the modes of PyTorch at the end."""
    with settings_kept((*SETTINGS, *_torchscript(), *_autocast("cpu"), *_cuda())):
        yield


def not_compiled() -> AbstractContextManager[None]:
    """Run what torch.compile has wrapped as it was written, also deep inside of a model."""
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def _autocast(device: str) -> tuple[Setting, ...]:
    return (
        (
            lambda: torch.is_autocast_enabled(device),
            lambda on: torch.set_autocast_enabled(device, on),
        ),
        (
            lambda: torch.get_autocast_dtype(device),
            lambda kind: torch.set_autocast_dtype(device, kind),
        ),
    )


def _cuda() -> tuple[Setting, ...]:
    """Return the settings of graphics cards; none if CUDA is not in use.

    Reading them would start CUDA.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return ()
    return ((torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all), *_autocast("cuda"))


def _set_device(before: torch.device) -> None:
    """Set the default device; the CPU, the initial default, is set as None."""
    if torch.get_default_device() != before:
        torch.set_default_device(None if before == torch.device("cpu") else before)


def _is_deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _set_deterministic(before: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _torchscript() -> tuple[Setting, ...]:
    """Return the TorchScript exporter's state; it leaves the last opset behind (PyTorch 2.14)."""
    if not has_torchscript_exporter():
        return ()
    from torch.onnx._internal.torchscript_exporter import _globals

    kept = existing(_globals, "GLOBALS")
    return ((lambda: dict(vars(kept)), lambda before: vars(kept).update(before)),)


SETTINGS: tuple[Setting, ...] = (
    (torch.get_rng_state, torch.set_rng_state),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_device),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    (_is_deterministic, _set_deterministic),
)
