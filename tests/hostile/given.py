"""One hostile model: what a user would export, and inputs that the proof has not seen."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Make = TypeVar("Make", bound=Callable[[], "Given"])
Kind = TypeVar("Kind", bound=type[nn.Module])


@dataclass(frozen=True)
class Given:
    """A model with its sample and its probes.

    Attributes:
        probes: inputs by name.
        answer: the framework's own answer to a probe.
        options: keyword arguments of :func:`onnxpack.export`.
        tolerance: the allowed difference, as a fraction of an element and of its column.
    """

    model: Any
    sample: Any
    probes: Sequence[Mapping[str, Any]]
    answer: Callable[[Mapping[str, Any]], Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-3


@dataclass(frozen=True)
class Hostile:
    """A model by name.

    Attributes:
        kind: how it may mislead an exporter or a proof.
        proven: whether a refusal would be a fault as well.
    """

    kind: str
    name: str
    make: Callable[[], Given]
    proven: bool = False

    def __str__(self) -> str:
        return f"{self.kind}-{self.name}"


class Collection:
    """The hostile models of one file."""

    def __init__(self) -> None:
        self.models: list[Hostile] = []

    def case(self, kind: str, *, proven: bool = False) -> Callable[[Make], Make]:
        """Collect a function that makes a model."""

        def collect(make: Make) -> Make:
            self.models.append(Hostile(kind, make.__name__, make, proven))
            return make

        return collect

    def module(
        self,
        kind: str,
        sample: Any,
        probes: Sequence[Any],
        *,
        proven: bool = False,
        change: Callable[[nn.Module], Any] = lambda module: module,
        tolerance: float = 1e-3,
        **options: Any,
    ) -> Callable[[Kind], Kind]:
        """Collect a module that is made without arguments.

        Args:
            kind: see :class:`Hostile`.
            sample: a tensor, a tuple of tensors in the order of ``forward``, or a dict by name.
            probes: each in the sample's form.
            proven: see :class:`Hostile`.
            change: what is done to the module before it is exported.
            tolerance: see :class:`Given`.
            options: of :func:`onnxpack.export`.
        """

        def collect(module: Kind) -> Kind:
            names = list(inspect.signature(module.forward).parameters)[1:]

            def make() -> Given:
                torch.manual_seed(0)
                model = change(module())
                named = [by_name(names, probe) for probe in probes]
                given = copy.deepcopy(sample)
                return Given(model, given, named, of_module(model), options, tolerance)

            self.models.append(Hostile(kind, module.__name__, make, proven))
            return module

        return collect


def by_name(names: Sequence[str], probe: Any) -> dict[str, Any]:
    """A probe's tensors by the names of the inputs."""
    if isinstance(probe, dict):
        return probe
    tensors = probe if isinstance(probe, tuple) else (probe,)
    return dict(zip(names, tensors, strict=False))


def of_module(model: nn.Module) -> Callable[[Mapping[str, Any]], Any]:
    """Calls a module in eval mode."""

    def answer(feeds: Mapping[str, Any]) -> Any:
        model.eval()
        with torch.no_grad():
            return model(**copy.deepcopy(dict(feeds)))

    return answer


def leaves(value: Any) -> Iterator[np.ndarray]:
    """The arrays of a structure, in order; bfloat16 as float32, which holds it exactly."""
    if isinstance(value, Tensor):
        yield (value.float() if value.dtype is torch.bfloat16 else value).detach().numpy()
    elif hasattr(value, "items"):
        yield from leaves(list(value.values()))
    elif isinstance(value, list | tuple):
        for child in value:
            yield from leaves(child)
    elif value is not None:
        yield np.asarray(value)


def difference(want: np.ndarray, got: np.ndarray, tolerance: float) -> str:
    """How a pack's answer differs; empty where it does not.

    Each element is judged by its own size and by the typical size of its column, never by the
    largest element.
    """
    if want.shape != got.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if want.dtype.kind in "fc":
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        a, b = want.astype(wide), got.astype(wide)
        with np.errstate(invalid="ignore"):
            gap = np.abs(a - b)
            close = np.isfinite(a) & (gap <= tolerance * (np.abs(a) + _typical(a)) + 1e-6)
        wrong = ~(close | (a == b) | (np.isnan(a) & np.isnan(b)))
    else:
        wrong = np.asarray(want != got)
    if not wrong.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    return (
        f"{int(wrong.sum())} of {wrong.size} elements; at {place} the model says {want[place]}, "
        f"the pack {got[place]}"
    )


def _typical(array: np.ndarray) -> Any:
    """The median magnitude of each column."""
    if not array.ndim or not array.size:
        return 0.0
    finite = np.isfinite(array)
    magnitudes = np.ma.masked_array(np.abs(array), mask=~finite)
    return np.ma.filled(np.ma.median(magnitudes, axis=0, keepdims=True), 0.0)


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BAND = (150.0, 170.0)
"""Peaks at which a model decides: no power of ten times a sample of normal numbers has one."""


def peaked(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, scaled so that the largest magnitude lies within the band."""
    numbers = randn(*shape, seed=seed)
    return numbers * 160 / numbers.abs().max()


def in_band(peak: float) -> bool:
    """Whether a model decides otherwise than for its sample."""
    return BAND[0] < peak < BAND[1]


def rand(*shape: int, seed: int = 0) -> Tensor:
    """Numbers between 0 and 1."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def randint(low: int, high: int, *shape: int, seed: int = 0) -> Tensor:
    """Integers from ``low`` up to ``high``, which is left out."""
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def sizes(*shape: int | None, of: Sequence[int]) -> list[Tensor]:
    """A probe for each size; None stands for it in the shape."""
    return [randn(*(n if s is None else s for s in shape), seed=n) for n in of]


class Linear(nn.Module):
    """A model with a layer of six features."""

    def __init__(self, outputs: int = 6) -> None:
        super().__init__()
        self.layer = nn.Linear(6, outputs)
