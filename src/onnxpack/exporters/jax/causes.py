"""Find why a JAX model cannot be exported, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from onnxpack.parity.subject import Attempt, Cause
from onnxpack.parity.ties import SCATTERED, ZEROS

DECISIONS: Sequence[tuple[str, Cause]] = (
    (
        r"depends on a dynamic size",
        Cause(
            "Python code in the function depends on a dynamic size",
            "take sizes from the input, as in x.reshape(x.shape[0], -1), and do not use them in "
            "if, dict look-ups or text; or fix all sizes with static=True (--static)",
        ),
    ),
    (
        r"asks whether it is being traced",
        Cause(
            "the function asks whether it is being traced, so an exporter sees a different "
            "function than its users",
            "remove that check from the function; decide with jnp.where(condition, a, b)",
        ),
    ),
    (
        r"a JAX error is caught",
        Cause(
            "the function catches a JAX error and continues, which a graph cannot do",
            "choose with jnp.where(condition, a, b), or do not catch the error",
        ),
    ),
)
"""Causes of the errors that :mod:`onnxpack.exporters.jax.watch` raises."""
CAUSES: Sequence[tuple[str, Cause]] = (
    *DECISIONS,
    (
        r"TracerBool|Concretization|TracerInteger|TracerArrayConversion",
        Cause(
            "Python code in the function depends on an array's values, or passes the array to "
            "numpy",
            "write it with jnp.where(condition, a, b), jax.lax.cond or jax.lax.while_loop, and "
            "jnp in place of np",
        ),
    ),
    (
        r"where jax2onnx converts .*(requires a constant|InconclusiveDimension|_DimExpr)",
        Cause(
            "jax2onnx converts one of the function's primitives only for fixed sizes",
            "fix all sizes with static=True (--static), or use other jnp functions",
        ),
    ),
    (
        # range(x.shape[0]) in the user's code
        r"used in a context that requires a constant|_DimExpr' object cannot be interpreted",
        Cause(
            "the function needs a dynamic size as a Python number, for example for a loop over it",
            "use jax.lax.fori_loop instead of for; or fix all sizes with static=True (--static)",
        ),
    ),
    (
        r"InconclusiveDimension|[Ss]ymbolic dimension|symbolic shape",
        Cause(
            "Python code in the function depends on a dynamic size",
            "take sizes from the input, as in x.reshape(x.shape[0], -1), and do not use them in "
            "if or for; or fix all sizes with static=True (--static)",
        ),
    ),
    (
        r"[Nn]o plugins? registered|[Uu]nsupported primitive",
        Cause(
            "the function uses a JAX primitive that jax2onnx cannot convert",
            "use simpler jnp functions",
        ),
    ),
    (
        r"NotImplementedError",
        Cause(
            "the function uses a JAX primitive in a way that jax2onnx cannot convert",
            "use simpler jnp functions",
        ),
    ),
    (
        r"No Op registered for BitCast",
        Cause(
            "the function reads the bits of numbers, as signbit, copysign and "
            "bitcast_convert_type do, for which ONNX has an operator only from opset 26 on",
            "export it with opset=26 (--opset 26)",
        ),
    ),
    (
        r"NOT_IMPLEMENTED|[Cc]ould not find an implementation|bfloat16|bound to different types",
        Cause(
            "the model computes in a dtype for which ONNX Runtime lacks kernels on CPU",
            "cast the weights and the inputs to float32: "
            "jax.tree.map(lambda a: a.astype(jnp.float32), params)",
        ),
    ),
    (
        r"are both called",
        Cause(
            "an input and an output of the model have the same name, but value names in a graph "
            "must be unique",
            "give the output another name: return {'scores': ...}",
        ),
    ),
    (
        r"was frozen at",
        Cause(
            "a size that should vary was fixed inside the graph",
            "take sizes from the input, x.shape[0], not from a number; or fix all sizes with "
            "static=True (--static)",
        ),
    ),
)


SIGNED_ZEROS = Cause(
    "JAX sorts -0.0 below 0.0, but ONNX treats them as equal",
    "remove the sign of zeros before top_k, sort and argsort: jnp.where(x == 0, 0, x)",
)


SORTING = frozenset({"sort", "top_k", "approx_top_k"})
"""Primitives that distinguish zeros of different signs."""


def diagnose(attempts: Sequence[Attempt], primitives: Collection[str]) -> Cause | None:
    """Return the likely cause by the error messages and differences of the strategies.

    Args:
        primitives: the names of the primitives that the model consists of.
    """
    failed = {case.name for each in attempts for case in each.evidence if not case.passed}
    if ZEROS in failed and failed <= {ZEROS, SCATTERED} and not SORTING.isdisjoint(primitives):
        return SIGNED_ZEROS
    if any(attempt.is_right_at_all_sizes for attempt in attempts):
        return None
    return _first(CAUSES, attempts)


def diagnose_decision(attempts: Sequence[Attempt]) -> Cause | None:
    """Return the cause if a traced function decided in Python."""
    return _first(DECISIONS, attempts)


def _first(causes: Sequence[tuple[str, Cause]], attempts: Sequence[Attempt]) -> Cause | None:
    said = "\n".join(attempt.error or "" for attempt in attempts)
    return next((cause for pattern, cause in causes if re.search(pattern, said)), None)
