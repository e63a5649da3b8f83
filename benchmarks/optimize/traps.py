"""Recipes that people publish, measured as they come: most are slow, or wrong, or both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnxpack.optimizer.original import Original
from onnxpack.optimizer.search import SECONDS, time_beside
from onnxpack.optimizer.space import PASSES, Plan
from onnxpack.runtime.replay import Run
from onnxpack.signature import Array

Make = Callable[[Path, Path, list[dict[str, Array]]], object]


@dataclass(frozen=True)
class Trap:
    """A recipe, and how it makes a graph of another."""

    name: str
    make: Make


def static(**options: Any) -> Make:
    """Return ``quantize_static`` with these options."""

    def make(source: Path, to: Path, feeds: list[dict[str, Array]]) -> None:
        from onnxruntime import quantization

        reader: Any = _Reader(feeds)
        quantization.quantize_static(source, to, reader, **_named(quantization, options))

    return make


def _named(quantization: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    types = {name: getattr(quantization.QuantType, name) for name in ("QInt8", "QUInt8", "QUInt16")}
    return {name: types.get(str(value), value) for name, value in options.items()}


def _by_pass(name: str) -> Make:
    def make(source: Path, to: Path, _: list[dict[str, Array]]) -> None:
        PASSES[name].apply(source, to)

    return make


TRAPS: Mapping[str, tuple[Trap, ...]] = {
    "efficientnet-lite0": (
        Trap("quantize_static as it comes: S8S8, per tensor", static()),
        Trap("S8S8, per channel", static(per_channel=True)),
        Trap("U16S8, per channel", static(per_channel=True, activation_type="QUInt16")),
        Trap(
            "only convolutions, U8S8, per channel",
            static(per_channel=True, activation_type="QUInt8", op_types_to_quantize=["Conv"]),
        ),
        Trap("float16 on the CPU", _by_pass("float16")),
    ),
    "minilm-l6": (
        Trap("quantize_static as it comes: S8S8, per tensor", static()),
        Trap("static int8, U8S8, per channel",
             static(per_channel=True, activation_type="QUInt8")),
        Trap("float16 on the CPU", _by_pass("float16")),
        Trap("4-bit weights", _by_pass("weights-4")),
    ),
}  # fmt: skip


def measure_traps(name: str, original: Original, work: Path) -> Iterator[dict[str, object]]:
    """Yield what each recipe of a case does to the speed and to the answers."""
    if original.split is None:
        raise ValueError("there are no rows")
    feeds = list(original.split.calibration.feeds())
    for at, trap in enumerate(TRAPS.get(name, ())):
        print(f"trap: {trap.name}", file=sys.stderr)
        graph = work / f"trap-{at}" / "model.onnx"
        graph.parent.mkdir(parents=True)
        try:
            trap.make(original.pack.model_path, graph, feeds)
            yield {"name": trap.name, **measure_graph(graph, original, trap.name)}
        except Exception as exc:  # noqa: BLE001 - a recipe can fail in any way, which is a row too
            yield {"name": trap.name, "failure": f"{type(exc).__name__}: {exc}"[:200]}


def measure_graph(graph: Path, original: Original, name: str) -> dict[str, object]:
    """Time and judge a graph on onnxruntime."""
    predict: Run = original.open(graph, Plan((), "onnxruntime"))
    predict(original.feeds(1))
    speed = time_beside(original, name, predict, 1, SECONDS)
    judged = original.judge(predict)
    return {
        "ratio": speed.ratio,
        "interval": speed.interval,
        "measure": judged.measure,
        "value": judged.value,
        "lower": judged.lower,
        "figures": dict(judged.figures),
        "size": graph.stat().st_size,
    }


class _Reader:
    """Feeds, in the form in which onnxruntime asks for them."""

    def __init__(self, feeds: list[dict[str, Array]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, Array] | None:
        """Return the next feed; None at the end."""
        return next(self._feeds, None)
