"""Find the line that makes a model answer differently to the same input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.errors import OnnxpackError
from onnxpack.exporters.frames import Place, of_torch, user_line
from onnxpack.parity.subject import Cause
from onnxpack.signature import Array

RANDOM = torch.Tag.nondeterministic_seeded
DROPOUT = ("native_dropout", "bernoulli_", "alpha_dropout")


def find_unsteadiness(model: torch.nn.Module, run: Callable[[], Any]) -> Cause | None:
    """Run once more, and return what is drawn at random or kept for the next call."""
    kept = _kept(model)
    with _Watch() as watch:
        run()
    if watch.dropout is not None:
        return Cause(
            f"forward() applies dropout in eval mode too, at {watch.dropout}",
            "F.dropout(x, p, training=self.training), or nn.Dropout in __init__",
        )
    if watch.random is not None:
        return Cause(
            f"forward() draws random numbers, at {watch.random}",
            "make the noise an input of forward(), or draw it only if self.training",
        )
    changed = [name for name, value in _kept(model).items() if kept.get(name) != value]
    if changed:
        return Cause(
            f"forward() keeps a state between calls: {', '.join(sorted(changed)[:3])}",
            "make it an input of forward() and return it, or change it only if self.training",
        )
    return None


def kept_from_first_call(
    model: torch.nn.Module,
    run: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    sample: Mapping[str, Array],
    as_new: Callable[[], AbstractContextManager[None]],
) -> list[str]:
    """Return what a model keeps of its first call and answers by, such as a scale.

    In repeated calls the model answers consistently. Only a model in its state before any call
    shows that another first batch gives other answers. A table that grows with the longest input
    gives the same answers, and does not count.

    Args:
        as_new: context that restores the model at its end to its state at the beginning.
    """
    before = _kept(model)
    with as_new():
        try:
            first = run(sample)
        except OnnxpackError:
            raise
        except Exception:  # noqa: BLE001 - the proof refuses the sample with a message
            return []
        changed = [name for name, value in _kept(model).items() if before.get(name) != value]
        if not changed or not _same(first, run(sample)):
            return []  # a model that answers inconsistently at once is refused for that
    with as_new():
        with suppress(Exception):  # another input that the model refuses leaves it as new
            run(_other(sample))
        later = run(sample)
    return [] if _same(first, later) else sorted(changed)


def _same(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(answer, second[name], equal_nan=answer.dtype.kind in "fc")
        for name, answer in first.items()
    )


def _other(sample: Mapping[str, Array]) -> dict[str, Array]:
    """Return inputs with other values: rows reversed, floating-point numbers shifted and scaled."""
    turned = {name: np.flip(array, 0) if array.ndim else array for name, array in sample.items()}
    return {
        name: (array * 3 + 1).astype(array.dtype) if array.dtype.kind == "f" else array.copy()
        for name, array in turned.items()
    }


class _Watch(TorchDispatchMode):
    """Remembers the first place that draws at random."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.random: Place | None = None
        self.dropout: Place | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if RANDOM in func.tags:
            place = user_line(of_torch)
            if any(name in str(func) for name in DROPOUT):
                self.dropout = self.dropout or place
            else:
                self.random = self.random or place
        return func(*args, **(kwargs or {}))


def _kept(model: torch.nn.Module) -> Mapping[str, Any]:
    """Return what a model holds in addition to its parameters, in a comparable form."""
    buffers = {
        f"self.{name}": (id(tensor), tensor._version)  # noqa: SLF001 - counts writes
        for name, tensor in model.named_buffers()
    }
    return buffers | {
        f"self.{path}.{name}" if path else f"self.{name}": _mark(value)
        for path, part in model.named_modules()
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training"
    }


def _mark(value: Any) -> Any:
    plain = isinstance(value, bool | int | float | str | None)
    return value if plain else (id(value), _length(value))


def _length(value: Any) -> int:
    """Return the length of a list, a dict or another sized object; 0 for objects without one."""
    try:
        return len(value)
    except Exception:  # noqa: BLE001 - an object can refuse in any way
        return 0
