"""Restate primitives of JAX that jax2onnx converts incorrectly by other primitives.

XLA defines what JAX does in edge cases: an index out of range, an integer that overflows, a shift
by more bits than there are. ONNX leaves these open or defines them differently, and jax2onnx 0.17
ignores the difference. Each restatement here is a function of JAX without such edge cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax2onnx.plugins import plugin_system
from jax2onnx.plugins._ir_shapes import _ensure_value_metadata, _stamp_type_and_shape
from jax2onnx.plugins.jax.lax import _control_flow_utils, div

from onnxpack.exporters.jax import indexed, integer, running, search, tails
from onnxpack.exporters.replaced import existing, replaced

Restated = Callable[..., Any]
"""Function that takes a primitive's inputs and, by keyword, its parameters; returns its output."""

# Taken before jax2onnx replaces them.
_take = jnp.take


def _take_rows(table: Any, indices: Any, *, axis: int, mode: str | None) -> Any:
    return _take(table, indices, axis=axis, mode=mode)


def _embed(indices: Any, table: Any) -> Any:
    """Look up embeddings as Flax does: a table of one row has no index out of range."""
    if table.shape[0] == 1:
        return jnp.broadcast_to(table, (*indices.shape, table.shape[1]))
    return _take(table, indices, axis=0)


def _embed_as_equinox(indices: Any, table: Any) -> Any:
    return jnp.asarray(table)[indices]


NORMALIZATION = "_match_lpnormalization_pattern"
"""jax2onnx's function that detects a division by a norm."""


def _concatenate(*arrays: Any, dimension: int) -> Any:
    """Do ``lax.concatenate`` without empty arrays, which jax2onnx 0.17 expands to one row."""
    full = [array for array in arrays if array.shape[dimension] != 0]
    return lax.concatenate(full or arrays, dimension)


def _plain(function: Restated) -> Restated:
    """Return a function of jnp that ignores the parameters of jax2onnx's primitive for it."""
    return lambda *inputs, **_: function(*inputs)


ALWAYS: Mapping[str, Restated] = {
    "jax.numpy.take": _take_rows,
    "nnx.embed": _embed,
    "linen.embed": _embed,
    "eqx.nn.embedding": _embed_as_equinox,
    # jax2onnx's own fail on floats of sizes that vary.
    "jax.numpy.floor_divide": _plain(jnp.floor_divide),
    "jax.numpy.fmod": _plain(jnp.fmod),
    "gather": indexed.gather,
    "dynamic_slice": indexed.dynamic_slice,
    "dynamic_update_slice": indexed.dynamic_update_slice,
    "scatter": indexed.scatter(lax.scatter_p),
    "scatter-add": indexed.scatter(lax.scatter_add_p),
    "scatter-sub": indexed.scatter(lax.scatter_sub_p),
    "scatter-mul": indexed.scatter(lax.scatter_mul_p),
    "scatter-min": indexed.scatter(lax.scatter_min_p),
    "scatter-max": indexed.scatter(lax.scatter_max_p),
    "concatenate": _concatenate,
    "cummax": running.cummax,
    "cummin": running.cummin,
    "cumprod": running.cumprod,
    "jax.numpy.searchsorted": search.searchsorted,
    "jax.numpy.digitize": search.digitize,
    "jax.nn.gelu": tails.gelu,
    "erfc": tails.erfc,
    "expm1": tails.expm1,
    "log1p": tails.log1p,
}
FOR_INTEGERS: Mapping[str, Restated] = {
    "dot_general": integer.dot_general,
    "integer_pow": integer.integer_pow,
    "square": integer.square,
    "jax.numpy.power": _plain(jnp.power),
    "jax.numpy.pow": _plain(jnp.pow),
    "jax.numpy.left_shift": _plain(jnp.left_shift),
    "jax.numpy.bitwise_left_shift": _plain(jnp.bitwise_left_shift),
    "jax.numpy.right_shift": _plain(jnp.right_shift),
    "jax.numpy.bitwise_right_shift": _plain(jnp.bitwise_right_shift),
    "div": integer.div,
    "rem": integer.rem,
    "shift_left": integer.shift_left,
    "shift_right_logical": integer.shift_right_logical,
    "shift_right_arithmetic": integer.shift_right_arithmetic,
}


def _rem_of_floats(context: Any, step: Any) -> None:
    """Write ``lax.rem`` of floats for all sizes, as jax2onnx 0.17 does for fixed sizes."""
    one, other = (context.get_value_for_var(place) for place in step.invars)
    (out,) = step.outvars
    found = context.builder.Mod(one, other, fmod=1, _outputs=[context.fresh_name("rem_out")])
    found.type = one.type
    _stamp_type_and_shape(found, out.aval.shape)
    _ensure_value_metadata(context, found)
    context.bind_value_for_var(out, found)


FOR_FLOATS: Mapping[str, Callable[[Any, Any], None]] = {"rem": _rem_of_floats}
"""Replacements for methods of plug-ins, for primitives that are restated for integers only."""


@contextmanager
def primitives_restated() -> Iterator[None]:
    """Make jax2onnx convert the restatements in place of the primitives."""
    registry = existing(plugin_system, "PLUGIN_REGISTRY")
    with ExitStack() as stack:
        for restated, integers in ((ALWAYS, False), (FOR_INTEGERS, True)):
            for name in sorted(restated.keys() & registry.keys()):
                lower = _lowering(registry[name], restated[name], integers=integers)
                stack.enter_context(replaced(registry[name], "lower", lower))
        # LpNormalization gives 0 where a division by a norm of 0 gives NaN.
        stack.enter_context(replaced(div, NORMALIZATION, _no_normalization))
        yield


def _no_normalization(*_: Any) -> None:
    """Match no division as a normalization."""


def _lowering(plugin: Any, restated: Restated, *, integers: bool) -> Callable[[Any, Any], None]:
    """Return a plug-in's method that converts a function in place of its primitive.

    Args:
        plugin: the plug-in of jax2onnx; its own method is called if the function gives the
            primitive itself.
        integers: whether the function is for integers only.
    """
    plain = existing(plugin, "lower", function=True)
    traced: list[Any] = []

    def lower(context: Any, step: Any) -> None:
        if integers and not jnp.issubdtype(step.outvars[0].aval.dtype, jnp.integer):
            FOR_FLOATS.get(step.primitive.name, plain)(context, step)
            return
        closed = _traced(restated, context, step)
        if _is_itself(closed, step):
            plain(context, step)
            return
        # jax2onnx knows variables by their id(), so none may be freed before the end.
        traced.append(closed)
        # Within its restatement the primitive is the plain one.
        with replaced(plugin, "lower", plain):
            _inline(context, closed, step)

    return lower


def _is_itself(closed: Any, step: Any) -> bool:
    """Return whether a jaxpr is nothing but the primitive with its parameters."""
    if [each.primitive for each in closed.jaxpr.eqns] != [step.primitive]:
        return False
    (only,) = closed.jaxpr.eqns
    return all(
        only.params[name] is value or bool(only.params[name] == value)
        for name, value in step.params.items()
    )


def _traced(restated: Restated, context: Any, step: Any) -> Any:
    """Return the function's jaxpr, in which constant inputs stay constant."""
    known = [context.try_evaluate_const(place) for place in step.invars]
    specs = [jax.ShapeDtypeStruct(place.aval.shape, place.aval.dtype) for place in step.invars]

    def call(*arrays: Any) -> Any:
        inputs = [
            array if value is None else np.asarray(value, array.dtype)
            for array, value in zip(arrays, known, strict=True)
        ]
        answer = restated(*inputs, **step.params)
        # A value of the graph has one name, so what is given back unchanged is copied.
        return jnp.copy(answer) if any(answer is each for each in inputs) else answer

    return jax.make_jaxpr(call)(*specs)


def _inline(context: Any, closed: Any, step: Any) -> None:
    for place, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        context.bind_const_for_var(place, np.asarray(value))
    for outer, inner in zip(step.invars, closed.jaxpr.invars, strict=True):
        context.bind_value_for_var(inner, context.get_value_for_var(outer))
    _control_flow_utils.lower_jaxpr_eqns(context, closed.jaxpr, source="restated")
    for outer, inner in zip(step.outvars, closed.jaxpr.outvars, strict=True):
        context.bind_value_for_var(outer, context.get_value_for_var(inner))
