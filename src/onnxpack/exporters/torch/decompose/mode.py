"""The mode in which a model is traced: it decomposes operators into those that ONNX has.

The decompositions are active while a model is traced or exported, but not while its reference
answers are computed. So the proof compares each of them with PyTorch's own operator. They also run
on fake tensors with symbolic sizes: none of them reads a value or turns a size into a number.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from onnxpack.exporters.torch.decompose import (
    arithmetic,
    attention,
    bags,
    checks,
    complexes,
    deform,
    division,
    fourier,
    index,
    linear,
    logarithms,
    moves,
    order,
    pictures,
    pools,
    powers,
    ranges,
    reductions,
    resample,
    shifts,
    sparse,
    special,
)
from onnxpack.exporters.torch.decompose.keywords import renamed
from onnxpack.exporters.torch.decompose.outside import stand_ins


class Decomposed(TorchFunctionMode):
    """Replaces torch's functions by those of :data:`DECOMPOSITIONS`."""

    def __init__(self) -> None:
        super().__init__()
        self._outside = ExitStack()

    def __enter__(self) -> Self:
        self._outside.enter_context(stand_ins())
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exc: object) -> None:
        with self._outside:
            super().__exit__(*exc)  # type: ignore[no-untyped-call]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = _decomposed(func, args, kwargs or {})
        return func(*args, **(kwargs or {})) if answer is NotImplemented else answer


def _decomposed(func: Any, args: Any, options: Any) -> Any:
    """Return the answer of a decomposition; NotImplemented if there is none."""
    if func in METHODS:
        return METHODS[func](*args, **options)
    name = getattr(func, "__name__", "")
    in_place = name in IN_PLACE
    ours = DECOMPOSITIONS.get(name[:-1] if in_place else name)
    if ours is None or options.get("out") is not None:
        return NotImplemented
    options = {name: value for name, value in options.items() if name != "out"}
    named = renamed(func, ours, args, options) if options else {}
    if named is None:
        return NotImplemented
    answer = ours(*args, **named)
    if in_place:
        return answer if answer is NotImplemented else args[0].copy_(answer)
    # PyTorch returns a new tensor even if there is nothing to compute: a later
    # write in place to the answer must not reach the input. Identity suffices: no decomposition
    # ends in a view of another shape.
    given = answer is not None and any(answer is each for each in args)
    return answer.clone() if given and name not in OWN else answer


_PROPERTIES: Any = Tensor
METHODS: dict[Any, Callable[..., Any]] = {
    _PROPERTIES.mH.__get__: moves.adjoint,
    _PROPERTIES.mT.__get__: moves.matrix_transpose,
    Tensor.__setitem__: complexes.set_item,
    Tensor.unfold: index.windows,
    functional.embedding_bag: bags.embedding_bag,
}
"""Methods that share their name with a function that does something else."""
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    **{name: complexes.on_parts(name) for name in complexes.ON_PARTS},
    "__floordiv__": division.floor_divide,
    "__rfloordiv__": division.floor_divided_by,
    "__lshift__": shifts.left,
    "__rmod__": division.remainder_of,
    "__rpow__": powers.power_of,
    "__rshift__": shifts.right,
    "_is_all_true": checks.is_all_true,
    "_sparse_mm": sparse.matmul,
    "_threshold": arithmetic.threshold,
    "adaptive_avg_pool1d": pools.adaptive(torch.mean, 1),
    "adaptive_avg_pool2d": pools.adaptive(torch.mean, 2),
    "adaptive_avg_pool3d": pools.adaptive(torch.mean, 3),
    "adaptive_max_pool1d": pools.adaptive(torch.amax, 1),
    "adaptive_max_pool2d": pools.adaptive(torch.amax, 2),
    "adaptive_max_pool3d": pools.adaptive(torch.amax, 3),
    "adjoint": moves.adjoint,
    "affine_grid": resample.affine_grid,
    "all": reductions.all_true,
    "angle": arithmetic.angle,
    "any": reductions.any_true,
    "arctan2": arithmetic.atan2,
    "argsort": order.argsort,
    "atan2": arithmetic.atan2,
    "avg_pool2d": pools.divided(functional.avg_pool2d, 2),
    "avg_pool3d": pools.divided(functional.avg_pool3d, 3),
    "binary_cross_entropy": logarithms.binary_cross_entropy,
    "binary_cross_entropy_with_logits": logarithms.binary_cross_entropy_with_logits,
    "bitwise_left_shift": shifts.left,
    "bitwise_right_shift": shifts.right,
    "bmm": complexes.product(torch.bmm),
    "bucketize": order.bucketize,
    "cdist": arithmetic.cdist,
    "cholesky_solve": linear.cholesky_solve,
    "clamp": arithmetic.clamp,
    "clip": arithmetic.clamp,
    "copysign": arithmetic.copysign,
    "corrcoef": arithmetic.corrcoef,
    "cosine_similarity": arithmetic.cosine_similarity,
    "cov": arithmetic.cov,
    "cross_entropy": logarithms.cross_entropy,
    "cummax": order.cummax,
    "cummin": order.cummin,
    "cumprod": order.cumprod,
    "cumsum": reductions.cumsum,
    "deform_conv2d": deform.deform_conv2d,
    "diff": moves.diff,
    "div": division.divide,
    "divide": division.divide,
    "einsum": complexes.einsum,
    "embedding": index.embedding,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "expm1": logarithms.expm1,
    "fft_fft": fourier.of_length(torch.fft.fft),
    "fft_fftshift": moves.fftshift,
    "fft_ifftshift": moves.ifftshift,
    "fft_rfft": fourier.of_length(torch.fft.rfft),
    "fill_diagonal_": index.fill_diagonal,
    "fix": division.trunc,
    "floor_divide": division.floor_divide,
    "fmax": arithmetic.fmax,
    "fmin": arithmetic.fmin,
    "frac": division.frac,
    "grid_sample": resample.grid_sample,
    "grid_sampler": resample.grid_sampler,
    "hardshrink": arithmetic.hardshrink,
    "heaviside": arithmetic.heaviside,
    "hypot": arithmetic.hypot,
    "index_add": index.index_add,
    "index_put": index.index_put,
    "interpolate": resample.interpolate,
    "inverse": linear.inverse,
    "isin": index.isin,
    "kron": arithmetic.kron,
    "kthvalue": order.kthvalue,
    "linalg_cholesky": linear.cholesky,
    "linalg_inv": linear.inverse,
    "linalg_solve": linear.solve,
    "linalg_solve_triangular": linear.solve_triangular,
    "linalg_svdvals": linear.svdvals,
    "linspace": ranges.linspace,
    "log10": logarithms.log10,
    "log1p": logarithms.log1p,
    "log2": logarithms.log2,
    "log_sigmoid": logarithms.log_sigmoid,
    "logaddexp": logarithms.logaddexp,
    "logaddexp2": logarithms.logaddexp2,
    "logcumsumexp": order.logcumsumexp,
    "logit": logarithms.logit,
    "logspace": ranges.logspace,
    "logsumexp": logarithms.logsumexp,
    "matmul": sparse.product(complexes.product(torch.matmul)),
    "mean": reductions.mean,
    "median": order.median,
    "mm": sparse.product(complexes.product(torch.mm)),
    "mode": order.mode,
    "pow": powers.power,
    "ravel": moves.ravel,
    "remainder": division.remainder,
    "roi_align": pictures.region("roi_align"),
    "roi_pool": pictures.region("roi_pool"),
    "roll": moves.roll,
    "rrelu": arithmetic.rrelu,
    "scaled_dot_product_attention": attention.scaled_dot_product_attention,
    "scatter_reduce": index.scatter_reduce,
    "searchsorted": order.searchsorted,
    "sgn": arithmetic.sign,
    "sign": arithmetic.sign,
    "signbit": arithmetic.signbit,
    "softshrink": arithmetic.softshrink,
    "sort": order.sort,
    "sparse_coo_tensor": sparse.from_places,
    "special_erfc": special.erfc,
    "special_erfcx": special.erfcx,
    "special_erfinv": special.erfinv,
    "special_expm1": logarithms.expm1,
    "special_log_ndtr": special.log_ndtr,
    "special_log1p": logarithms.log1p,
    "special_logit": logarithms.logit,
    "special_logsumexp": logarithms.logsumexp,
    "special_ndtr": special.ndtr,
    "special_xlogy": logarithms.xlogy,
    "std": reductions.std,
    "take_along_dim": index.take_along_dim,
    "to_dense": sparse.stay,
    "to_sparse": sparse.stay,
    "tril_indices": index.tril_indices,
    "triu_indices": index.triu_indices,
    "trunc": division.trunc,
    "upsample": resample.upsample,
    "unique_consecutive": order.unique_consecutive,
    "var": reductions.var,
    "xlogy": logarithms.xlogy,
    "zeros": complexes.zeros,
}
"""Decompositions by the name of a function or method of torch."""
OWN = {"fill_diagonal_", "to_dense", "to_sparse"}
"""Functions that may return their first argument itself."""
IN_PLACE = frozenset(
    f"{name}_"
    for name in (
        "atan2", "clamp", "clip", "copysign", "div", "divide", "expm1", "fix", "floor_divide",
        "frac", "hypot", "index_add", "index_put", "log10", "log1p", "log2", "logit", "pow",
        "remainder", "scatter_reduce", "sgn", "sign", "trunc", "xlogy",
    )
)  # fmt: skip
"""Methods that write the result of the function of the same name into their tensor."""
