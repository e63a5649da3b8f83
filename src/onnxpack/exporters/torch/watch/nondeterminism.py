"""Which line makes a model answer differently to the same input: chance, or something it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.exporters.torch.watch.frames import Place, of_torch, user_line
from onnxpack.parity.subject import Cause

RANDOM = torch.Tag.nondeterministic_seeded
DROPOUT = ("native_dropout", "bernoulli_", "alpha_dropout")


def find_unsteadiness(model: torch.nn.Module, run: Callable[[], Any]) -> Cause | None:
    """Run once more, and tell what is drawn at random or kept for the next call."""
    kept = _kept(model)
    with _Watch() as watch:
        run()
    if watch.dropout is not None:
        return Cause(
            f"forward() drops at random in eval mode too, at {watch.dropout}",
            "F.dropout(x, p, training=self.training), or nn.Dropout in __init__",
        )
    if watch.random is not None:
        return Cause(
            f"forward() draws at random, at {watch.random}",
            "take the noise as an input of forward(), or draw it only if self.training",
        )
    changed = [name for name, value in _kept(model).items() if kept.get(name) != value]
    if changed:
        return Cause(
            f"forward() keeps something between calls: {', '.join(sorted(changed)[:3])}",
            "take it as an input of forward() and return it, or change it only if self.training",
        )
    return None


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
    """What a model holds besides its parameters, in a form that can be compared."""
    buffers = {f"self.{name}": tensor._version for name, tensor in model.named_buffers()}  # noqa: SLF001
    return buffers | {
        f"self.{path}.{name}" if path else f"self.{name}": _mark(value)
        for path, part in model.named_modules()
        for name, value in vars(part).items()
        if not name.startswith("_") and name != "training"
    }


def _mark(value: Any) -> Any:
    plain = isinstance(value, bool | int | float | str | None)
    return value if plain else (id(value), len(value) if hasattr(value, "__len__") else 0)
