"""Evaluate conditions on sizes, and find sizes at which they differ from the sample's.

Two sources ask them: the guards that a ``torch.export`` program keeps, and the symbolic run of
:mod:`onnxpack.exporters.torch.watch.symbolic`. Both are Python expressions that PyTorch printed.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import CodeType
from typing import Any

import torch

from onnxpack.errors import ExportError
from onnxpack.parity.cases import Axes
from onnxpack.signature import Array

SEARCHED = tuple(
    chain(range(1, 1025), (2**power + step for power in range(11, 21) for step in (-1, 0, 1)))
)
"""The sizes at which each condition is tried, for one dim after the other."""
KNOWN = {
    "Eq": operator.eq, "Max": max, "Min": min, "Mod": operator.mod, "Ne": operator.ne,
    "abs": abs, "bool": bool, "float": float, "int": int, "math": math, "max": max, "min": min,
    "round": round, "torch": torch,
}  # fmt: skip
"""Names that a condition may use."""


@dataclass(frozen=True)
class Condition:
    """An expression over sizes.

    Attributes:
        code: the expression, compiled.
        names: returns the variables of the expression for given sizes of the dynamic dims.
        own: the sample's sizes.
    """

    code: CodeType
    names: Callable[[Mapping[str, int]], Mapping[str, Any]]
    own: Mapping[str, int]

    @classmethod
    def of_symbols(cls, code: str, dims: Mapping[str, str], own: Mapping[str, int]) -> Condition:
        """Return a condition over symbols; each symbol stands for a dim."""
        return cls(
            compile(code, "<condition>", "eval"),
            lambda sizes: {symbol: sizes[dim] for symbol, dim in dims.items()},
            own,
        )

    @classmethod
    def of_guard(
        cls, code: str, sample: Mapping[str, Array], axes: Axes, own: Mapping[str, int]
    ) -> Condition:
        """Return a guard of ``torch.export``, over terms like ``L['tensors'][0].size()[0]``."""
        return cls(
            compile(code, "<guard>", "eval"),
            lambda sizes: {
                "L": {
                    "tensors": [
                        _Sized(_shape(array, axes.get(name, {}), sizes))
                        for name, array in sample.items()
                    ]
                }
            },
            own,
        )

    def varies(self) -> bool:
        """Return whether some size gives another answer than the sample's."""
        return next(self.differing(), None) is not None

    def differing(self) -> Iterator[dict[str, int]]:
        """Yield, for each dim, the smallest and the next larger size with another answer.

        The second is the first that is larger than the sample's size.
        """
        wanted = self._value(self.own)
        for dim in self.own:
            others = (s for s in SEARCHED if self._value({**self.own, dim: s}) != wanted)
            smallest = next(others, None)
            if smallest is None:
                continue
            yield {**self.own, dim: smallest}
            larger = next((size for size in others if size > self.own[dim]), None)
            if smallest < self.own[dim] and larger is not None:
                yield {**self.own, dim: larger}

    def _value(self, sizes: Mapping[str, int]) -> Any:
        """Return the answer; None if it has none, as for a division by zero.

        Raises:
            ExportError: the expression uses a name that is not known here.
        """
        names = {**KNOWN, **self.names(sizes)}
        try:
            return eval(self.code, {"__builtins__": {}}, names)  # noqa: S307 - PyTorch wrote it
        except (ZeroDivisionError, OverflowError):
            return None
        except Exception as exc:
            raise ExportError(
                f"torch {torch.__version__} set a condition on sizes that cannot be evaluated: "
                f"{exc}"
            ) from exc


def all_differing(conditions: Sequence[Condition]) -> list[dict[str, int]]:
    """Return the sizes at which at least one condition has another answer, each once."""
    found = {tuple(sizes.items()) for each in conditions for sizes in each.differing()}
    return [dict(sizes) for sizes in sorted(found)]


def _shape(array: Array, named: Mapping[int, str], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(
        sizes[named[axis]] if axis in named else size for axis, size in enumerate(array.shape)
    )


class _Sized:
    """Stands for a tensor in a guard, which reads only its size."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def size(self) -> tuple[int, ...]:
        """Return the shape, like ``torch.Tensor.size``."""
        return self._shape
