"""An exception decides, or the code asks whether it is being traced."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from tests.hostile.given import Collection, Linear, randint, randn, sizes
from torch import Tensor, nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensor

collection = Collection()
raised, asked = "exceptions", "tracer-questions"

SAMPLE = randn(2, 3, 8)
FLAT = torch.zeros(2, 3, 8)
PROBES = [randn(3, 3, 8, seed=1), FLAT, torch.ones(2, 3, 8)]


def gram(k: Tensor) -> Tensor:
    return k @ k.transpose(-1, -2)


@collection.module(raised, SAMPLE, PROBES)
class CholeskyOrJitter(nn.Module):
    def forward(self, k: Tensor) -> Tensor:
        try:
            return torch.linalg.cholesky(gram(k))
        except torch.linalg.LinAlgError:
            return torch.linalg.cholesky(gram(k) + 0.1 * torch.eye(3))


@collection.module(raised, SAMPLE, PROBES)
class SuppressesTheSolver(nn.Module):
    """contextlib.suppress keeps what was there before."""

    def forward(self, k: Tensor) -> Tensor:
        answer = k.mean(-1, keepdim=True)
        with contextlib.suppress(RuntimeError):
            answer = torch.linalg.solve(gram(k), k[..., :1])
        return answer


@collection.module(raised, SAMPLE, PROBES)
class InverseElsePseudo(nn.Module):
    """The exception comes out of a helper, and a finally stands between."""

    def inverse(self, a: Tensor) -> Tensor:
        try:
            return torch.linalg.inv(a)
        finally:
            self.tried = True

    def forward(self, k: Tensor) -> Tensor:
        try:
            return self.inverse(gram(k))
        except Exception:
            return torch.linalg.pinv(gram(k) + torch.eye(3))


@collection.module(raised, SAMPLE, PROBES)
class RetriesWithJitter(nn.Module):
    """As GPyTorch does: ten times the jitter, until it works."""

    def forward(self, k: Tensor) -> Tensor:
        for power in range(-6, 2):
            try:
                return torch.linalg.cholesky(gram(k) + 10.0**power * torch.eye(3))
            except RuntimeError:
                continue
        return torch.zeros_like(gram(k))


@collection.module(raised, randn(4, 6), [randn(3, 6, seed=1), randn(4, 6, seed=2) * 1e3])
class RaisesAndCatches(Linear):
    """A check raises, and its caller falls back."""

    def check(self, y: Tensor) -> Tensor:
        if y.abs().max() > 50:
            raise OverflowError
        return y

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.check(self.layer(x))
        except OverflowError:
            return self.layer(x).clamp(-50, 50)


@collection.module(raised, randn(4, 6), sizes(None, 6, of=(2, 4, 8, 9)))
class ReshapesOrNot(Linear):
    """A view that only some batches allow."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        try:
            return y.view(-1, 4, 6).mean(1).sum(0)
        except RuntimeError:
            return y.sum(0)


@collection.module(raised, randint(0, 5, 3, 4), [randint(0, 5, 2, 4, seed=1), randint(5, 9, 3, 4)])
class UnknownWords(nn.Module):
    """IndexError for a word out of the vocabulary."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 4)

    def forward(self, ids: Tensor) -> Tensor:
        try:
            return self.words(ids).mean(1)
        except IndexError:
            return self.words(ids.clamp(max=4)).mean(1) * 0


@collection.module(raised, randn(4, 6), sizes(None, 6, of=(1, 3, 4, 6)))
class BroadcastsOrNot(Linear):
    """Sizes that do not fit each other raise."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.arange(4.0)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.layer(x) * self.weights
        except RuntimeError:
            return self.layer(x)


@collection.module(raised, SAMPLE, PROBES)
class CatchesInAHandler(nn.Module):
    """__exit__ of an object swallows the error."""

    class Fallback:
        failed = False

        def __enter__(self) -> CatchesInAHandler.Fallback:
            return self

        def __exit__(self, kind: object, *_: object) -> bool:
            self.failed = kind is not None
            return True

    def forward(self, k: Tensor) -> Tensor:
        answer = gram(k)
        with self.Fallback() as fallback:
            answer = torch.linalg.cholesky(gram(k))
        return answer + 1 if fallback.failed else answer


@collection.module(raised, SAMPLE, PROBES)
class InfoOfTheSolver(nn.Module):
    """No exception: cholesky_ex gives an integer that says how it went."""

    def forward(self, k: Tensor) -> Tensor:
        factor, info = torch.linalg.cholesky_ex(gram(k))
        if info.any():
            factor = torch.linalg.cholesky(gram(k) + 0.1 * torch.eye(3))
        return factor


@collection.module(raised, randn(4, 6), sizes(None, 6, of=(1, 2, 9)))
class WarningsAsErrors(Linear):
    """std of one row warns, and the warning is made an error."""

    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                spread = x.std(0)
            except UserWarning:
                spread = torch.ones(6)
        return self.layer(x) / spread


@collection.module(raised, SAMPLE, PROBES)
class SuppressedByAStack(nn.Module):
    """An ExitStack holds the suppress: no ``try`` and no ``with suppress`` stands in the source."""

    def forward(self, k: Tensor) -> Tensor:
        answer = gram(k)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(RuntimeError))
            answer = torch.linalg.cholesky(answer)
        return answer


def retried(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Call again with more on the diagonal, if the first call fails."""

    @functools.wraps(function)
    def call(self: nn.Module, k: Tensor) -> Tensor:
        for jitter in (0.0, 0.1, 1.0):
            with contextlib.suppress(RuntimeError):
                return function(self, gram(k) + jitter * torch.eye(3))
        return k

    return call


@collection.module(raised, SAMPLE, PROBES)
class RetriedByADecorator(nn.Module):
    @retried
    def factor(self, a: Tensor) -> Tensor:
        return torch.linalg.inv(a)

    def forward(self, k: Tensor) -> Tensor:
        return self.factor(k)


NAMES: dict[str, Any] = {"torch": torch, "gram": gram}
exec(  # as attrs, dataclasses and templates make functions
    "def factor(k):\n"
    "    try:\n"
    "        return torch.linalg.cholesky(gram(k))\n"
    "    except RuntimeError:\n"
    "        return gram(k) * 0\n",
    NAMES,
)


@collection.module(raised, SAMPLE, PROBES)
class GeneratedCode(nn.Module):
    """The try stands in code that has no file."""

    def forward(self, k: Tensor) -> Tensor:
        return NAMES["factor"](k)


BATCHES = sizes(None, 6, of=(2, 8, 9, 20))


@collection.module(asked, randn(4, 6), BATCHES)
class IsTracing(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if not torch.jit.is_tracing() and not torch.compiler.is_compiling() and x.shape[0] > 8:
            y = y * 0.5
        return y


@collection.module(asked, randn(4, 6), BATCHES)
class IsScripting(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if torch.jit.is_scripting() or torch.jit.is_tracing():
            return y
        return y.clamp(-0.1, 0.1)


@collection.module(asked, randn(4, 6), BATCHES)
class IsInOnnxExport(Linear):
    """A cheaper form for ONNX, which is not quite the same."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if torch.onnx.is_in_onnx_export():
            return y / (1 + y.abs())
        return torch.tanh(y)


@collection.module(asked, randn(4, 6), BATCHES)
class IsExporting(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        exporting = torch.compiler.is_exporting() or torch.jit.is_tracing()
        return y if exporting or x.shape[0] <= 8 else y - y.mean(0)


@collection.module(asked, randn(4, 6), BATCHES)
class IsDynamoCompiling(Linear):
    """Asked by names that were imported before, at module level."""

    def forward(self, x: Tensor) -> Tensor:
        if is_compiling() or tracing() is not None:
            return self.layer(x)
        return self.layer(x).round(decimals=1)


@collection.module(asked, randn(4, 6), BATCHES)
class TypeOfASize(Linear):
    """Whether a size is an int says whether it is traced."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if type(x.shape[0]) is int and x.shape[0] > 8:
            y = y.flip(0)
        return y


@collection.module(asked, randn(4, 6), BATCHES)
class TypeOfTheTensor(Linear):
    """Fake tensors have a class of their own."""

    def forward(self, x: Tensor) -> Tensor:
        plain = type(x) is Tensor and not torch.jit.is_tracing()
        return self.layer(x) * (1 + (plain and len(x) > 8))


@collection.module(asked, randn(4, 6), BATCHES)
class AsksForGradients(Linear):
    """Export may run without grad, or with it."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if not torch.is_grad_enabled() else y * 2


@collection.module(asked, randn(4, 6), BATCHES)
class AsksForModes(Linear):
    """Is there a mode that sees functions or operators?"""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        watched = torch._C._len_torch_function_stack() or torch._C._len_torch_dispatch_stack()
        return y if watched or x.shape[0] <= 8 else -y


@collection.module(asked, randn(4, 6), BATCHES)
class AsTransformersAsks(Linear):
    """In the words of transformers' ``is_tracing``."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        fake = isinstance(x, FakeTensor) or detect_fake_mode() is not None
        if fake or torch.jit.is_tracing() or x.shape[0] <= 8:
            return y
        return y - y.amax(1, keepdim=True)


is_compiling = torch.compiler.is_compiling
tracing = torch._C._get_tracing_state
