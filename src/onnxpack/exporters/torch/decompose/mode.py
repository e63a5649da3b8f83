"""Decompose operators that ONNX lacks into operators that it has.

They stand in while a model is traced or exported, and never while it is asked: so the proof
holds each of them against PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from onnxpack.exporters.torch.decompose import (
    arithmetic,
    complexes,
    deform,
    division,
    index,
    linear,
    order,
    pools,
    sparse,
)


class Decomposed(TorchFunctionMode):
    """Puts the functions of this module in the place of torch's."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        table = METHODS if func in METHODS else DECOMPOSITIONS
        decomposition = table.get(func if table is METHODS else getattr(func, "__name__", ""))
        if decomposition is None:
            return func(*args, **(kwargs or {}))
        answer = decomposition(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if answer is NotImplemented else answer


METHODS: dict[Any, Callable[..., Any]] = {
    Tensor.__setitem__: complexes.set_item,
    Tensor.unfold: index.windows,
}
"""Those of which a function of the same name does something else."""
DECOMPOSITIONS: dict[str, Callable[..., Any]] = {
    **{name: complexes.on_parts(name) for name in complexes.ON_PARTS},
    "adaptive_avg_pool1d": pools.adaptive(torch.mean, 1),
    "adaptive_avg_pool2d": pools.adaptive(torch.mean, 2),
    "adaptive_avg_pool3d": pools.adaptive(torch.mean, 3),
    "adaptive_max_pool1d": pools.adaptive(torch.amax, 1),
    "adaptive_max_pool2d": pools.adaptive(torch.amax, 2),
    "adaptive_max_pool3d": pools.adaptive(torch.amax, 3),
    "argsort": order.argsort,
    "atan2": arithmetic.atan2,
    "avg_pool2d": pools.divided(functional.avg_pool2d, 2),
    "avg_pool3d": pools.divided(functional.avg_pool3d, 3),
    "arctan2": arithmetic.atan2,
    "binary_cross_entropy_with_logits": arithmetic.binary_cross_entropy_with_logits,
    "bmm": complexes.product(torch.bmm),
    "bucketize": order.bucketize,
    "cdist": arithmetic.cdist,
    "cholesky_solve": linear.cholesky_solve,
    "copysign": arithmetic.copysign,
    "corrcoef": arithmetic.corrcoef,
    "cov": arithmetic.cov,
    "cummax": order.cummax,
    "cummin": order.cummin,
    "cumprod": order.cumprod,
    "div": division.divide,
    "divide": division.divide,
    "einsum": complexes.einsum,
    "embedding": index.embedding,
    "expm1": arithmetic.expm1,
    "floor_divide": division.floor_divide,
    "cross_entropy": arithmetic.cross_entropy,
    "deform_conv2d": deform.deform_conv2d,
    "fill_diagonal_": index.fill_diagonal,
    "__floordiv__": division.floor_divide,
    "__rfloordiv__": division.floor_divided_by,
    "fmax": arithmetic.fmax,
    "fmin": arithmetic.fmin,
    "hypot": arithmetic.hypot,
    "index_add": index.index_add,
    "index_put": index.index_put,
    "interpolate": pools.interpolate,
    "inverse": linear.inverse,
    "isin": index.isin,
    "kron": arithmetic.kron,
    "kthvalue": order.kthvalue,
    "linalg_cholesky": linear.cholesky,
    "linalg_inv": linear.inverse,
    "linalg_solve": linear.solve,
    "linalg_solve_triangular": linear.solve_triangular,
    "log1p": arithmetic.log1p,
    "log_sigmoid": arithmetic.log_sigmoid,
    "logcumsumexp": order.logcumsumexp,
    "matmul": sparse.product(complexes.product(torch.matmul)),
    "mean": arithmetic.mean,
    "median": order.median,
    "mode": order.mode,
    "remainder": arithmetic.remainder,
    "_sparse_mm": sparse.matmul,
    "mm": sparse.product(complexes.product(torch.mm)),
    "sparse_coo_tensor": sparse.from_places,
    "to_dense": sparse.stay,
    "to_sparse": sparse.stay,
    "rrelu": arithmetic.rrelu,
    "scatter_reduce": index.scatter_reduce,
    "searchsorted": order.searchsorted,
    "sort": order.sort,
    "special_ndtr": arithmetic.ndtr,
    "take_along_dim": index.take_along_dim,
    "_threshold": arithmetic.threshold,
    "tril_indices": index.tril_indices,
    "triu_indices": index.triu_indices,
    "unique_consecutive": order.unique_consecutive,
    "zeros": complexes.zeros,
}
