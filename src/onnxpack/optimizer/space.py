"""The space that is searched: chains of passes, each with what runs its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeAlias

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
"""How the names of passes that round activations begin."""
STATIC = "int8-static"
STATIC_METHODS = frozenset({"int8-minmax", "int8-percentile", "int8-entropy"})
Goal: TypeAlias = Literal["latency", "throughput", "size"]
Precision: TypeAlias = Literal["", "f32", "bf16"]
Runtime: TypeAlias = Literal["onnxruntime", "openvino"]


@dataclass(frozen=True, slots=True)
class Pass:
    """A transformation of graphs, as the search knows it.

    Attributes:
        apply: reads a graph, writes another, and tells the step; one that is calibrated also
            takes feeds.
        exact: whether float32's own accuracy is kept.
        calibrated: whether it measures ranges on data.
        keeps_ranges: whether it takes the ranges of an earlier call, with other layers spared.
    """

    apply: Callable[..., Step]
    exact: bool = False
    calibrated: bool = False
    keeps_ranges: bool = False

    def __call__(
        self,
        source: Path,
        to: Path,
        calibration: Rows | None,
        *,
        spared: Sequence[str] = (),
        ranges: Path | None = None,
    ) -> Step:
        """Return apply the pass.

        Args:
            spared: names of layers that stay in float32.
            ranges: a file that keeps the measured ranges; see ``quantize_static``.

        Raises:
            OptimizeError: the pass has nothing to do, or fails.
            UsageError: the pass measures ranges, and there is no data.
        """
        options: dict[str, Any] = {"exclude": spared} if spared else {}
        if not self.calibrated:
            return self.apply(source, to, **options)
        if calibration is None:
            raise UsageError("this pass measures ranges on data.", remedy="--data DIR")
        if self.keeps_ranges:
            options["ranges"] = ranges
        return self.apply(source, to, calibration.feeds(), **options)


def _static(method: Method) -> Pass:
    return Pass(partial(quantize_static, method=method), calibrated=True, keeps_ranges=True)


PASSES: Mapping[str, Pass] = {
    "rewrite": Pass(rewrite, exact=True),
    "slim": Pass(slim, exact=True),
    "fuse": Pass(fuse, exact=True),
    "offline": Pass(save_optimized, exact=True),
    "float16": Pass(to_float16),
    "int8-dynamic": Pass(quantize_dynamic),
    "int8-minmax": _static("minmax"),
    "int8-percentile": _static("percentile"),
    "int8-entropy": _static("entropy"),
    "int8-nncf": Pass(quantize_nncf, calibrated=True),
    "weights-8": Pass(partial(quantize_weights, bits=8)),
    "weights-4": Pass(partial(quantize_weights, bits=4)),
}
"""The passes by the names that ``--passes`` takes."""

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
"""Slower than float32 on most processors, and smaller."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One point of the space.

    Attributes:
        passes: their names, in order.
        runtime: what runs the graph.
        precision: what OpenVINO computes in; empty for ONNX Runtime.
        spared: how many layers, the most sensitive ones, the int8 pass leaves alone.
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
        """Return the name of the graph after so many passes."""
        names = [
            f"{name}-but-{self.spared}" if self.spared_by(name) else name
            for name in self.passes[:count]
        ]
        return "-".join(names)

    def spared_by(self, name: str) -> int:
        """Return how many layers a pass of the chain leaves alone."""
        return self.spared if name.startswith(INT8) else 0

    @property
    def shape(self) -> Plan:
        """The plan with any method of calibration: its graphs differ in ranges only."""
        passes = (STATIC if name in STATIC_METHODS else name for name in self.passes)
        return replace(self, passes=tuple(passes))

    @property
    def exact(self) -> bool:
        """Whether float32's own accuracy is kept."""
        return self.precision != "bf16" and all(PASSES[name].exact for name in self.passes)

    @property
    def mixes(self) -> bool:
        """Whether layers can be left in float32: the last pass, and no other, makes int8."""
        made = [name.startswith(INT8) for name in self.passes]
        return bool(made) and made[-1] and sum(made) == 1 and not self.spared

    @property
    def calibrated(self) -> bool:
        """Whether data is needed to make it."""
        return any(PASSES[name].calibrated for name in self.passes)


def plans(goal: Goal, *, chain: Sequence[str] = (), data: bool) -> Iterator[Plan]:
    """Yield what is tried, the cheap first.

    Args:
        goal: for ``size``, passes that only make files smaller are tried too.
        chain: passes to try in this order, and nothing else.
        data: whether there are rows; without them only what keeps float32's accuracy is tried.

    Raises:
        UsageError: there is no pass of a name, or the chain needs rows and there are none.
    """
    check_passes(chain)
    lossy = [name for name in chain if not PASSES[name].exact]
    if lossy and not data:
        raise UsageError(
            f"{lossy[0]} gives up accuracy, which takes rows to judge.", remedy="--data DIR"
        )
    for plan in _chain(chain) if chain else _all(goal):
        if data or plan.exact:
            yield plan


def check_passes(names: Sequence[str]) -> None:
    """Refuse names of passes that do not exist.

    Raises:
        UsageError: there is one.
    """
    for name in names:
        if name not in PASSES:
            raise UsageError(f"{name!r} is no pass; they are: {', '.join(PASSES)}.")


def has_openvino() -> bool:
    """Return whether the second runtime is installed."""
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
    # What needs no data is made in a second, what is calibrated in ten or more.
    yield from sorted(made, key=lambda plan: (plan.calibrated, not plan.exact))
