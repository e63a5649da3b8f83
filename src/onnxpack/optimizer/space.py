"""The space that is searched: chains of passes, each with a runtime for its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

from onnxpack.benchmark.machine import int8_saturates
from onnxpack.errors import UsageError
from onnxpack.graph.passes.float16 import to_float16
from onnxpack.graph.passes.fuse import fuse
from onnxpack.graph.passes.int8_dynamic import quantize_dynamic
from onnxpack.graph.passes.int8_static import Method, quantize_static
from onnxpack.graph.passes.nncf_int8 import quantize_nncf
from onnxpack.graph.passes.offline import save_optimized
from onnxpack.graph.passes.rewrite import rewrite
from onnxpack.graph.passes.slim import slim
from onnxpack.graph.passes.weights import quantize_weights
from onnxpack.optimizer.data import Rows
from onnxpack.pack.manifest import Step
from onnxpack.runtime.session import ONNXRUNTIME, OPENVINO

INT8 = "int8-"
"""Prefix of the names of passes that round activations."""
STATIC = "int8-static"
Goal: TypeAlias = Literal["latency", "throughput", "size"]
Precision: TypeAlias = Literal["", "f32", "bf16"]
Runtime: TypeAlias = Literal["onnxruntime", "openvino"]


@dataclass(frozen=True, slots=True)
class Pass:
    """A transformation of graphs, with what the search needs to know about it.

    Attributes:
        apply: function that reads a graph, writes another, and returns the step; if calibrated, it
            also takes feeds.
        exact: whether float32's own accuracy is kept.
        calibrated: whether it measures ranges on data.
        keeps_ranges: whether it can reuse the ranges of an earlier call with other spared layers.
        narrows: whether it can leave out a bit of the weights where int8 saturates.
    """

    apply: Callable[..., Step]
    exact: bool = False
    calibrated: bool = False
    keeps_ranges: bool = False
    narrows: bool = False

    def __call__(
        self,
        source: Path,
        to: Path,
        calibration: Rows | None,
        *,
        spared: Sequence[str] = (),
        ranges: Path | None = None,
    ) -> Step:
        """Apply the pass to a graph.

        Args:
            source: path of the graph.
            to: path of the new graph.
            calibration: rows to measure ranges on; None without data.
            spared: names of layers that stay in float32.
            ranges: a file that stores the measured ranges; see ``quantize_static``.

        Raises:
            OptimizeError: the pass has nothing to do, or fails.
            UsageError: the pass measures ranges, and no data is given.
        """
        options: dict[str, Any] = {"exclude": spared} if spared else {}
        if self.narrows:
            options["narrow"] = int8_saturates()
        if not self.calibrated:
            return self.apply(source, to, **options)
        if calibration is None:
            raise UsageError("this pass measures ranges on data.", remedy="--data DIR")
        if self.keeps_ranges:
            options["ranges"] = ranges
        return self.apply(source, to, calibration.feeds(), **options)


def _static(method: Method) -> Pass:
    return Pass(
        partial(quantize_static, method=method), calibrated=True, keeps_ranges=True, narrows=True
    )


PASSES: Mapping[str, Pass] = {
    "rewrite": Pass(rewrite, exact=True),
    "slim": Pass(slim, exact=True),
    "fuse": Pass(fuse, exact=True),
    "offline": Pass(save_optimized, exact=True),
    "float16": Pass(to_float16),
    "int8-dynamic": Pass(quantize_dynamic, narrows=True),
    "int8-minmax": _static("minmax"),
    "int8-percentile": _static("percentile"),
    "int8-entropy": _static("entropy"),
    "int8-nncf": Pass(quantize_nncf, calibrated=True, narrows=True),
    "weights-8": Pass(partial(quantize_weights, bits=8)),
    "weights-4": Pass(partial(quantize_weights, bits=4)),
}
"""The passes by their names in ``--passes``."""

ON_ONNXRUNTIME: Sequence[tuple[str, ...]] = (
    ("rewrite",),
    ("fuse",),
    ("int8-dynamic",),
    ("fuse", "int8-dynamic"),
    ("int8-minmax",),
    ("int8-percentile",),
    ("int8-entropy",),
    ("int8-nncf",),
    ("fuse", "weights-8"),
)
ON_OPENVINO: Sequence[tuple[tuple[str, ...], Precision]] = (
    ((), "f32"),
    ((), "bf16"),
    (("int8-minmax",), "f32"),
    (("int8-percentile",), "f32"),
    (("int8-nncf",), "f32"),
    (("int8-nncf",), "bf16"),
)
SMALL: Sequence[tuple[str, ...]] = (("float16",), ("weights-8",), ("weights-4",))
"""Chains that make files smaller, and are slower than float32 on most processors."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One point of the search space.

    Attributes:
        passes: names of the passes, in order.
        runtime: runtime of the graph.
        precision: precision in which OpenVINO computes; empty for ONNX Runtime.
        spared: number of most sensitive layers that the int8 pass leaves in float32.
    """

    passes: tuple[str, ...]
    runtime: Runtime
    precision: Precision = ""
    spared: int = 0

    @property
    def name(self) -> str:
        """The name of the variant."""
        last = () if self.runtime == ONNXRUNTIME else ("openvino",)
        wide = ("bf16",) if self.precision == "bf16" else ()
        return "-".join((self.chain(len(self.passes)), *last, *wide)).strip("-")

    def chain(self, count: int) -> str:
        """Return the name of the graph after the first ``count`` passes."""
        names = [
            f"{name}-but-{self.spared}" if self.spared_by(name) else name
            for name in self.passes[:count]
        ]
        return "-".join(names)

    def spared_by(self, name: str) -> int:
        """Return how many layers a pass of the chain leaves in float32."""
        return self.spared if name.startswith(INT8) else 0

    @property
    def shape(self) -> Plan:
        """The plan without its method of calibration; plans of one shape differ only in ranges."""
        passes = (STATIC if PASSES[name].keeps_ranges else name for name in self.passes)
        return replace(self, passes=tuple(passes))

    @property
    def exact(self) -> bool:
        """Whether float32's own accuracy is kept."""
        return self.precision != "bf16" and all(PASSES[name].exact for name in self.passes)

    @property
    def mixes(self) -> bool:
        """Whether layers can be left in float32: only the last pass makes int8."""
        made = [name.startswith(INT8) for name in self.passes]
        return bool(made) and made[-1] and sum(made) == 1 and not self.spared

    @property
    def calibrated(self) -> bool:
        """Whether the graph can only be made with data."""
        return any(PASSES[name].calibrated for name in self.passes)


def plans(goal: Goal, *, chain: Sequence[str] = (), data: bool) -> Iterator[Plan]:
    """Yield the plans to try, cheap ones first.

    Args:
        goal: goal of the search; for ``size``, passes that only make files smaller are tried too.
        chain: passes to try in this order instead of the whole space.
        data: whether rows are given; without them, only passes that keep float32's accuracy are
            tried.

    Raises:
        UsageError: a pass does not exist, or the chain needs rows and none are given.
    """
    check_passes(chain)
    lossy = [name for name in chain if not PASSES[name].exact]
    if lossy and not data:
        raise UsageError(
            f"{lossy[0]} gives up accuracy, so it needs rows for evaluation.", remedy="--data DIR"
        )
    for plan in _chain(chain) if chain else _all(goal):
        if data or plan.exact:
            yield plan


def check_passes(names: Sequence[str]) -> None:
    """Check that the passes of these names exist.

    Raises:
        UsageError: a pass does not exist.
    """
    for name in names:
        if name not in PASSES:
            raise UsageError(f"{name!r} is not a pass; the passes are: {', '.join(PASSES)}.")


def has_openvino() -> bool:
    """Return whether OpenVINO, the second runtime, is installed."""
    return find_spec("openvino") is not None


def _chain(names: Sequence[str]) -> Iterator[Plan]:
    yield Plan(tuple(names), ONNXRUNTIME)
    if has_openvino():
        yield Plan(tuple(names), OPENVINO, "f32")


def _all(goal: Goal) -> Iterator[Plan]:
    made: list[Any] = [Plan(names, ONNXRUNTIME) for names in ON_ONNXRUNTIME]
    if goal == "size":
        made += [Plan(names, ONNXRUNTIME) for names in SMALL]
    if has_openvino():
        made += [Plan(names, OPENVINO, precision) for names, precision in ON_OPENVINO]
    # Passes without data take a second, calibrated ones ten or more.
    yield from sorted(made, key=lambda plan: (plan.calibrated, not plan.exact))
