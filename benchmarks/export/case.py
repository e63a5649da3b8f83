"""One model to export, with answers that the proof never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

WITHOUT = "--without-torchscript"
"""The option that hides PyTorch's TorchScript exporter."""


@dataclass(frozen=True)
class Given:
    """A model with its sample.

    Attributes:
        checks: inputs that the proof does not see, by name or in order, each with the
            framework's own answer in the order of the graph's outputs.
        options: of :func:`onnxpack.export`.
    """

    model: Any
    sample: Any
    checks: Sequence[tuple[Any, Sequence[NDArray[Any]]]]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A model by name; it is made in the process that exports it."""

    name: str
    make: Callable[[], Given]
