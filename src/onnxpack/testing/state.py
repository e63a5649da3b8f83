"""Read all state that an export must restore: of the process, the frameworks and the model."""

from __future__ import annotations

import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

PATCHED = (
    "builtins:print",
    "logging:Logger.callHandlers",
    "warnings:showwarning",
    "torch:Tensor.__hash__",
    "torch:autocast.__enter__",
    "torch:autocast.__exit__",
    "torch:nn.TransformerEncoder.forward",
    "torch.nn.modules.transformer:_detect_is_causal_mask",
    "torch._VF:_pad_packed_sequence",
    "torch.autograd:_engine_run_backward",
    "torch.autograd.forward_ad:make_dual",
    "torchvision.models.detection._utils:BoxCoder.decode",
    "transformers.masking_utils:prepare_padding_mask",
    "jax2onnx.converter.conversion_api:_activate_plugin_worlds",
    "jax2onnx.plugins.jax.lax.div:_match_lpnormalization_pattern",
)
"""Attributes of other libraries that onnxpack's exporters replace temporarily."""
NAMESPACES = (
    "jax.numpy", "jax.nn", "jax.lax", "jax.random", "flax.nnx", "flax.linen", "equinox.nn",
)  # fmt: skip
"""Modules in which jax2onnx replaces many functions."""
PLUGINS = "jax2onnx.plugins.plugin_system"
"""The module in which jax2onnx keeps how each primitive is converted."""
REGISTRATION = "torch.onnx._internal.torchscript_exporter.registration"
"""The module in which PyTorch keeps the ONNX forms of operators."""
REGISTRIES = (
    ("transformers.modeling_utils", "ALL_ATTENTION_FUNCTIONS"),
    ("transformers.masking_utils", "ALL_MASK_ATTENTION_FUNCTIONS"),
    ("transformers.integrations.moe", "ALL_EXPERTS_FUNCTIONS"),
)


class Same:
    """An object that is compared by identity, and kept alive so that its id stays unique."""

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self.thing).__name__} at {id(self.thing):#x}"


def process_state() -> dict[str, Any]:
    """Return every setting that an export must restore, of all loaded frameworks."""
    found: dict[str, Any] = dict(_of_python())
    for name, read in READERS.items():
        if name in sys.modules:
            found |= {f"{name}: {key}": value for key, value in read()}
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ; settings of newly loaded modules are ignored."""
    return [
        f"{name}: {value!r} became {after.get(name)!r}"
        for name, value in before.items()
        if after.get(name) != value
    ]


def object_state(thing: Any) -> Any:
    """Return everything that Python reaches from a model, in a comparable form."""
    return _described(thing, {})


def _described(thing: Any, seen: dict[int, Any]) -> Any:
    if thing is None or type(thing) in (bool, int, float, complex, str, bytes):
        return thing
    if id(thing) in seen:
        return Same(thing)
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
        return Same(thing), thing.shape, str(thing.dtype), thing.tobytes()
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(thing, torch.Tensor):
        return Same(thing), _tensor(thing)
    inner = [(_described(key, seen), _described(value, seen)) for key, value in _inner(thing)]
    return Same(thing), inner


def _inner(thing: Any) -> list[tuple[Any, Any]]:
    """Return what a container or an object refers to, each with its key."""
    if isinstance(thing, dict):
        return list(dict.items(thing))
    if isinstance(thing, set | frozenset):
        return [(id(each), None) for each in sorted(thing, key=id)]
    if isinstance(thing, list | tuple):
        return list(enumerate(thing))
    home = type(thing).__module__.partition(".")[0]
    if isinstance(thing, type) or home in sys.stdlib_module_names:
        return []
    return list(getattr(thing, "__dict__", {}).items())


def _tensor(tensor: Any) -> Any:
    gradient = tensor.grad if tensor.is_leaf else None
    flags = tensor.data_ptr(), tuple(tensor.shape), str(tensor.dtype), tensor.requires_grad
    values = tensor.detach().cpu().flatten()
    return *flags, values.tolist(), None if gradient is None else gradient.tolist()


def _of_python() -> Iterator[tuple[str, Any]]:
    yield "random", random.getstate()
    yield "numpy.random", repr(np.random.get_state())
    yield "logging.disable", logging.root.manager.disable
    yield "warnings.filters", list(warnings.filters)
    yield "streams", (Same(sys.stdout), Same(sys.stderr))
    yield "descriptors", [(os.fstat(each).st_dev, os.fstat(each).st_ino) for each in (1, 2)]
    yield "folder", Path.cwd()
    for place in PATCHED:
        module, _, path = place.partition(":")
        if module in sys.modules:
            holder: Any = sys.modules[module]
            *outer, name = path.split(".")
            for each in outer:
                holder = getattr(holder, each)
            yield place, (Same(getattr(holder, name)), name in vars(holder))


def _of_jax() -> Iterator[tuple[str, Any]]:
    yield "config", dict(sys.modules["jax"].config.values)
    for name in NAMESPACES:
        for key, value in list(vars(sys.modules[name]).items()) if name in sys.modules else ():
            if callable(value):
                yield f"{name}.{key}", Same(value)
    plugins = getattr(sys.modules.get(PLUGINS), "PLUGIN_REGISTRY", {})
    for name, plugin in list(plugins.items()):
        yield f"{PLUGINS}.{name}", Same(vars(plugin).get("lower"))


def _of_keras() -> Iterator[tuple[str, Any]]:
    keras = sys.modules["keras"]
    yield "floatx", keras.config.floatx()
    yield "epsilon", keras.config.epsilon()
    yield "data format", keras.config.image_data_format()
    yield "policy", keras.config.dtype_policy().name
    yield "backend", keras.config.backend()


def _of_torch() -> Iterator[tuple[str, Any]]:
    torch: Any = sys.modules["torch"]
    yield "random", torch.get_rng_state().tolist()
    yield "dtype", torch.get_default_dtype()
    yield "device", torch.get_default_device()
    yield "threads", torch.get_num_threads()
    yield "grad", (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    yield "autocast", (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"))
    yield "precision", torch.get_float32_matmul_precision()
    yield "fast path", torch.backends.mha.get_fastpath_enabled()
    yield "deterministic", torch.are_deterministic_algorithms_enabled()
    yield "tracing", (torch.jit.is_tracing(), torch.onnx.is_in_onnx_export())
    yield "modes", [Same(each) for each in torch.overrides._get_current_function_mode_stack()]  # noqa: SLF001
    registration: Any = sys.modules.get(REGISTRATION)
    for name in registration.registry.all_functions() if registration else ():
        forms = registration.registry.get_function_group(name)._functions._overrides  # noqa: SLF001
        yield f"form of {name}", {opset: Same(form) for opset, form in forms.items()}


def _of_transformers() -> Iterator[tuple[str, Any]]:
    for module, name in REGISTRIES:
        registry = getattr(sys.modules.get(module), name, {})
        yield name, {key: Same(value) for key, value in registry.items()}


READERS: Mapping[str, Callable[[], Iterator[tuple[str, Any]]]] = {
    "jax": _of_jax,
    "keras": _of_keras,
    "torch": _of_torch,
    "transformers": _of_transformers,
}
"""Functions that read the settings of each framework."""
