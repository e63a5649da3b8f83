"""Compute beforehand what depends on no input of a JAX function.

JAX traces random weights, split keys and generated tables with the rest. A graph has no operators
for random numbers and needs none: with a fixed key they are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend
from jax.extend.core import Literal
from jax.interpreters import partial_eval

INLINED = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr"}
"""Primitives that only call the function under this one of their parameters."""


@dataclass(frozen=True)
class Value:
    """A value, and whether it depends on an input."""

    of: Any
    traced: bool


def folded(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """Return the function with constant parts computed and unused parts left out."""

    def call(*arrays: Any) -> tuple[Any, ...]:
        specs = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
        closed = jax.make_jaxpr(function)(*specs)
        needed = [True] * len(closed.jaxpr.outvars)
        jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, needed, instantiate=True)
        inputs = [Value(array, traced=True) for array in arrays]
        return tuple(each.of for each in _evaluate(jaxpr, closed.consts, inputs))

    return call


def _evaluate(jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
    values = {
        place: Value(each, traced=False)
        for place, each in zip(jaxpr.constvars, constants, strict=True)
    }
    values.update(zip(jaxpr.invars, inputs, strict=True))

    def read(place: Any) -> Value:
        return Value(place.val, traced=False) if isinstance(place, Literal) else values[place]

    for step in jaxpr.eqns:
        answer = _answer(step, [read(place) for place in step.invars])
        values.update(zip(step.outvars, answer, strict=True))
    return [read(place) for place in jaxpr.outvars]


def _answer(step: Any, inputs: Sequence[Value]) -> list[Value]:
    inner = INLINED.get(step.primitive.name)
    if inner is not None:
        called = step.params[inner]
        return _evaluate(called.jaxpr, called.consts, inputs)
    plain = [each.of for each in inputs]
    if not any(each.traced for each in inputs) and _is_sized(step):
        with jax.ensure_compile_time_eval():
            return [Value(each, traced=False) for each in _bound(step, plain)]
    return [Value(each, traced=True) for each in _bound(step, plain)]


def _bound(step: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    if step.primitive.name == "cond" and len(step.params["branches"]) > 2:
        return _in_pairs(step.params["branches"], *inputs)
    if step.primitive.name == "scan" and step.params["reverse"]:
        return _forwards(step, inputs)
    bound = step.primitive.get_bind_params(step.params)
    functions, parameters = bound if isinstance(bound, tuple) else ((), bound)  # before JAX 0.10
    answer = step.primitive.bind(*functions, *inputs, **parameters)
    found: Sequence[Any] = answer if step.primitive.multiple_results else [answer]
    return found


def _forwards(step: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Run a scan from the end as a scan from the start, over reversed arrays."""
    carried = step.params["num_carry"]
    held = step.params["num_consts"] + carried
    turned = [*inputs[:held], *map(_turned, inputs[held:])]
    answer = step.primitive.bind(*turned, **{**step.params, "reverse": False})
    return [*answer[:carried], *map(_turned, answer[carried:])]


def _turned(array: Any) -> Any:
    return jax.lax.rev(array, (0,))


def _in_pairs(branches: Sequence[Any], index: Any, *operands: Any) -> Sequence[Any]:
    """Write a choice of many branches as choices of two, which ONNX's If supports."""
    first, *others = (jax.extend.core.jaxpr_as_fun(branch) for branch in branches)
    if len(others) == 1:
        chosen: Sequence[Any] = jax.lax.cond(index == 0, first, others[0], *operands)
        return chosen
    rest = branches[1:]
    found: Sequence[Any] = jax.lax.cond(
        index == 0, first, lambda *same: _in_pairs(rest, index - 1, *same), *operands
    )
    return found


def _is_sized(step: Any) -> bool:
    """Return whether a step is not a symbol's value and has no output of symbolic size."""
    return step.primitive.name != "dim_as_value" and all(
        isinstance(size, int) for place in step.outvars for size in getattr(place.aval, "shape", ())
    )
