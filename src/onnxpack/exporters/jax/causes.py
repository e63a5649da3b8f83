"""Find why a JAX model cannot be exported, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from onnxpack.parity.subject import Attempt, Cause
from onnxpack.parity.ties import SCATTERED, ZEROS

DECISIONS: Sequence[tuple[str, Cause]] = (
    (
        r"a size that varies decides",
        Cause(
            "the function decides in Python from a size that is to vary",
            "take sizes from the input, x.reshape(x.shape[0], -1), without if, dict look-ups and "
            "text over them; or fix them on purpose with static=True (--static)",
        ),
    ),
    (
        r"asks whether it is traced",
        Cause(
            "the function asks whether it is traced, so an exporter sees another function than its "
            "users",
            "take the question out of the function; decide with jnp.where(condition, a, b)",
        ),
    ),
    (
        r"an error of JAX is caught",
        Cause(
            "the function catches an error of JAX and goes on, which no graph can",
            "choose with jnp.where(condition, a, b), or let the error end the function",
        ),
    ),
)
"""Causes of the errors that :mod:`onnxpack.exporters.jax.watch` raises."""
CAUSES: Sequence[tuple[str, Cause]] = (
    *DECISIONS,
    (
        r"TracerBool|Concretization|TracerInteger|TracerArrayConversion",
        Cause(
            "the function decides in Python from an array's values, or hands it to numpy",
            "write it with jnp.where(condition, a, b), jax.lax.cond or jax.lax.while_loop, and "
            "jnp in place of np",
        ),
    ),
    (
        r"where jax2onnx converts .*(requires a constant|InconclusiveDimension|_DimExpr)",
        Cause(
            "jax2onnx takes one of the function's primitives for fixed sizes only",
            "fix sizes on purpose with static=True (--static), or write it with other functions of "
            "jnp",
        ),
    ),
    (
        # range(x.shape[0]) in the user's code
        r"used in a context that requires a constant|_DimExpr' object cannot be interpreted",
        Cause(
            "the function needs a size that is to vary as a number, such as for a loop over it",
            "take jax.lax.fori_loop in place of for; or fix sizes on purpose with static=True "
            "(--static)",
        ),
    ),
    (
        r"InconclusiveDimension|[Ss]ymbolic dimension|symbolic shape",
        Cause(
            "the function decides in Python from a size that is to vary",
            "take sizes from the input, x.reshape(x.shape[0], -1), without if and for over them; "
            "or fix them on purpose with static=True (--static)",
        ),
    ),
    (
        r"[Nn]o plugins? registered|[Uu]nsupported primitive",
        Cause(
            "the function uses a primitive of JAX that jax2onnx has no operator for",
            "write it with simpler functions of jnp",
        ),
    ),
    (
        r"NotImplementedError",
        Cause(
            "the function uses a primitive of JAX in a way that jax2onnx does not convert",
            "write it with simpler functions of jnp",
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
            "an input and an output of the model have one name, and a graph's values have one each",
            "call the output otherwise: return {'scores': ...}",
        ),
    ),
    (
        r"was frozen at",
        Cause(
            "a size that should vary was fixed inside the graph",
            "take sizes from the input, x.shape[0], not from a number; or fix them on purpose "
            "with static=True (--static)",
        ),
    ),
)


SIGNED_ZEROS = Cause(
    "JAX sorts -0.0 below 0.0, and ONNX takes them for equal",
    "take the sign off zeros before top_k, sort and argsort: jnp.where(x == 0, 0, x)",
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
