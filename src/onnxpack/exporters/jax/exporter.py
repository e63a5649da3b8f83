"""The exporter for JAX: jitted functions, modules of Flax, modules of Equinox."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, SampleError, TargetError
from onnxpack.exporters.unchanged import unchanged

if TYPE_CHECKING:
    from onnxpack.exporters.jax.subject import JaxSubject


class JaxExporter:
    """Exports jitted functions of JAX and modules of Flax and Equinox.

    It accepts ``jax.jit(f)``, a ``functools.partial`` of it, an ``nnx.Module``, an
    ``equinox.Module``, and a ``linen.Module`` in a pair with its variables or bound to them. A
    plain function is not accepted: nothing shows that it is JAX's.
    """

    refines = ""

    def accepts(self, model: object) -> bool:
        """Return whether the model is one of these; JAX is not imported to say no."""
        if "jax" not in sys.modules:
            return False
        inner = model.func if isinstance(model, functools.partial) else model
        if isinstance(inner, tuple):
            return len(inner) == 2 and _is(inner[0], "flax.linen", "Module")
        bound = getattr(inner, "__self__", None)
        return (
            _is_jitted(inner)
            or _is(inner, "flax.nnx", "Module")
            or (_is(inner, "equinox", "Module") and callable(inner))
            or _is(bound, "flax.linen", "Module")
            or _is(inner, "flax.linen", "Module")
        )

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[JaxSubject]:
        """Prepare the model for inference; a Flax module gets its modes and state back.

        Raises:
            SampleError: no sample was given.
            TargetError: a module of linen has no variables.
            MissingExtraError: jax2onnx is not installed.
        """
        try:
            import jax2onnx  # noqa: F401 - whether it is there
        except ImportError as exc:
            raise MissingExtraError("jax2onnx", extra="jax") from exc

        from onnxpack.exporters.jax.inference import ready
        from onnxpack.exporters.jax.settings import jax_settings_kept
        from onnxpack.exporters.jax.subject import JaxSubject

        if sample is None:
            raise SampleError(
                "a JAX model needs a sample of its input.",
                remedy="onnxpack.export(model, x[:2], ...)",
                option="--sample 2x28x28x1",
            )
        if _is(model, "flax.linen", "Module"):
            model = _unbound(model)
        # What jax.jit compiles is a Python function, which may keep something.
        function = getattr(model, "__wrapped__", None)
        with jax_settings_kept(), unchanged(model, function), ready(model) as found:
            yield JaxSubject(found, sample, shown=model)


def _unbound(module: Any) -> tuple[Any, Any]:
    """Return a bound module of linen and its variables separately.

    Raises:
        TargetError: the module is not bound to variables.
    """
    if module.scope is None:
        raise TargetError(
            f"a {type(module).__name__} of flax.linen has no variables.",
            remedy="onnxpack.export((model, variables), x, ...)",
        )
    unbound, variables = module.unbind()
    return unbound, variables


def _is(thing: object, home: str, name: str) -> bool:
    kind = getattr(sys.modules.get(home), name, None)
    return kind is not None and isinstance(thing, kind)


def _is_jitted(thing: object) -> bool:
    """Return whether ``jax.jit`` made the object; its type has no public name."""
    return type(thing).__name__ == "PjitFunction" and "jax" in type(thing).__module__
