"""Load and adjust the plug-ins with which jax2onnx replaces functions while it traces.

jax2onnx replaces functions of JAX, Flax and Equinox by operators of its own. Three problems are
solved here. Loading its plug-ins leaves some of jnp's functions replaced for good. Its pooling
accepts arguments only by keyword. And if it misreads a function, the replacement must be avoidable.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from jax2onnx.converter import conversion_api
from jax2onnx.plugins import plugin_system

from onnxpack.exporters.jax.restated import primitives_restated
from onnxpack.exporters.replaced import existing, replaced

HOMES = ("jax.numpy", "jax.nn", "jax.lax", "jax.random", "flax.nnx", "flax.linen", "equinox.nn")
LIBRARIES = ("jax", "flax", "equinox", "dm_pix")
"""The libraries for which jax2onnx has plug-ins, by its names of their folders."""
POOLS = ("avg_pool", "max_pool", "min_pool")

ACTIVATE = "_activate_plugin_worlds"
"""jax2onnx's function that puts its operators in place; there is no public one."""


@contextmanager
def layers_known() -> Iterator[None]:
    """Let jax2onnx replace layers and functions, and pools with positional arguments too."""
    _load()
    plain = existing(conversion_api, ACTIVATE, function=True)
    pools = replaced(conversion_api, ACTIVATE, partial(_with_pools_by_position, plain))
    with pools, primitives_restated():
        yield


@contextmanager
def layers_unknown() -> Iterator[None]:
    """Keep jax2onnx from replacing layers and functions."""
    _load()
    with replaced(conversion_api, ACTIVATE, nullcontext), primitives_restated():
        yield


def _load() -> None:
    """Load the plug-ins of the libraries that are loaded themselves.

    jax2onnx 0.17 would load all, with its examples. Those make and compile layers of Equinox when
    they are imported, which takes 18 s of processor time.
    """
    for library in [each for each in LIBRARIES if each in sys.modules]:
        _load_of(library)  # which may load another library for its own use
    plugin_system._already_imported_plugins = True  # noqa: SLF001 - it would load the rest


@cache
def _load_of(library: str) -> None:
    """Load the plug-ins of a library, and restore the functions that loading replaces."""
    before = {home: dict(vars(module)) for home, module in _homes().items()}
    folder = Path(plugin_system.__file__).parent / library
    plugin_system._import_tree(folder, f"{plugin_system.__package__}.{library}")  # noqa: SLF001
    for home, module in _homes().items():
        for name, own in before.get(home, {}).items():
            if vars(module).get(name) is not own:
                setattr(module, name, own)


@contextmanager
def _with_pools_by_position(activate: Callable[[], Any]) -> Iterator[None]:
    pools = [
        (module, name, getattr(module, name))
        for home, module in _homes().items()
        for name in POOLS
        if home.startswith("flax") and hasattr(module, name)
    ]
    with activate(), ExitStack() as stack:
        for module, name, own in pools:
            taking = _by_keyword(getattr(module, name), own)
            stack.enter_context(replaced(module, name, taking))
        yield


def _by_keyword(pool: Callable[..., Any], own: Callable[..., Any]) -> Callable[..., Any]:
    """Return jax2onnx's pooling function with the parameters of Flax's."""
    signature = inspect.signature(own)

    def call(*args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(*args, **kwargs).arguments
        first = next(iter(signature.parameters))
        return pool(arguments.pop(first), **arguments)

    return call


def _homes() -> dict[str, ModuleType]:
    return {home: sys.modules[home] for home in HOMES if home in sys.modules}
