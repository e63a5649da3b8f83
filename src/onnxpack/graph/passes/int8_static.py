"""Quantise weights and activations to int8 (QDQ), with ranges measured on data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from onnxpack.errors import OptimizeError, UsageError
from onnxpack.graph.passes.attempt import Attempt, attempt, check_names, count_nodes, finish
from onnxpack.graph.passes.attention import has_attention
from onnxpack.graph.passes.keep_float import keep_float
from onnxpack.graph.passes.prepare import names_after, prepared
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step
from onnxpack.signature import Array

if TYPE_CHECKING:
    from onnx import ModelProto

Method: TypeAlias = Literal["minmax", "entropy", "percentile"]
PRODUCTS = ("Conv", "Gemm", "MatMul")
CACHE = "calibration_cache_path"
"""The argument of ONNX Runtime's function for a file of ranges; added after version 1.24."""
Feeds: TypeAlias = "Iterable[Mapping[str, Array]]"


def quantize_static(
    source: Path,
    to: Path,
    feeds: Feeds,
    *,
    method: Method = "minmax",
    exclude: Sequence[str] = (),
    operators: Sequence[str] = (),
    narrow: bool = False,
    ranges: Path | None = None,
) -> Step:
    """Quantise to uint8 activations and int8 weights, with a scale for each channel.

    Args:
        source: path of the graph.
        to: path of the new graph.
        feeds: data to measure the ranges of activations on: an array for each input. An iterator is
            accepted; ``entropy`` and ``percentile`` hold all feeds in memory.
        method: ``minmax`` takes the whole range; ``percentile`` leaves out the outermost 0.001 % of
            each tensor's values; ``entropy`` chooses the range that loses the least information.
        exclude: names of nodes that stay float32.
        operators: operators to quantise. By default all that ONNX Runtime can quantise; in a graph
            with attention only matrix products, because its masks have the range of float32.
        narrow: use only 7 bits of the weights, so that the sum of two products fits into the 16
            bits of x86 processors without VNNI.
        ranges: a file of ranges. If it exists, no feed is read; else it is written. Ranges do not
            depend on ``exclude`` and ``narrow``. If ONNX Runtime cannot store ranges, the feeds are
            read again.

    Raises:
        OptimizeError: there is nothing to quantise, no feed is given, or the quantisation fails.
        UsageError: the method is unknown.
    """
    if method not in get_args(Method):
        raise UsageError(f"method is {method!r}, expected one of {', '.join(get_args(Method))}.")
    with attempt("int8-static", source, to) as under_way:
        check_names(under_way.model, exclude, "int8-static")
        if not operators and has_attention(under_way.model):
            operators = PRODUCTS
        reader = _Reader(feeds)
        model = _quantize(under_way, reader, method, exclude, operators, narrow, ranges)
        if not count_nodes(model, "QuantizeLinear"):
            raise OptimizeError(
                f"int8-static has nothing to do: no node of {source.name} can be quantised."
            )
        keep_float(model)
        finish(model, source, to, under_way)
        return Step("int8-static", _options(method, reader.count(), operators, exclude, narrow))


def _options(
    method: Method, rows: int, operators: Sequence[str], exclude: Sequence[str], narrow: bool
) -> dict[str, Any]:
    return {
        "activations": "uint8",
        "weights": f"int{7 if narrow else 8} per channel",
        "method": method,
        "rows": rows,
        "operators": list(operators) or "all",
        "exclude": sorted(exclude),
        "onnxruntime": load_onnxruntime().__version__,
    }


def _quantize(
    under_way: Attempt,
    reader: Any,
    method: Method,
    exclude: Sequence[str],
    operators: Sequence[str],
    narrow: bool,
    ranges: Path | None,
) -> ModelProto:
    import onnx
    from onnxruntime import quantization

    methods = quantization.CalibrationMethod
    kept: dict[str, Any] = {}
    # Written aside and moved: a process that is killed leaves no half of a file.
    measured = under_way.scratch / "ranges.json"
    if ranges is not None and CACHE in signature(quantization.quantize_static).parameters:
        kept[CACHE] = ranges if ranges.exists() else measured
    made = under_way.scratch / "int8.onnx"
    quantization.quantize_static(
        prepared(under_way),
        made,
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=list(operators) or None,
        per_channel=True,
        reduce_range=narrow,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=names_after(exclude),
        calibrate_method={
            "minmax": methods.MinMax,
            "entropy": methods.Entropy,
            "percentile": methods.Percentile,
        }[method],
        extra_options=_extra_options(method),
        **kept,
    )
    if ranges is not None and measured.exists():
        measured.replace(ranges)
    return onnx.load(made)


def _extra_options(method: Method) -> dict[str, Any]:
    """Return further options of ONNX Runtime's function."""
    options: dict[str, Any] = {
        # By default percentiles are symmetric, which wastes half of uint8 after a ReLU.
        "CalibTensorRangeSymmetric": False,
        # The second factor of attention's products is not a weight, but gains from uint8 too.
        "MatMulConstBOnly": False,
    }
    if method != "minmax":
        # Make histograms feed by feed: else the activations of all feeds are kept, and feeds
        # of different sizes are refused. Ranges of minima and maxima need no memory.
        options["CalibStridedMinMax"] = 1
    return options


class _Reader:
    """Feeds in the form in which onnxruntime asks for them.

    With a stride of 1 onnxruntime asks for the length, then for each range of one feed. The length
    is the number of feeds, so all feeds are read first.
    """

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = iter(feeds)
        self._left: int | None = None
        self.read = 0

    def get_next(self) -> dict[str, Array] | None:
        """Return the next feed; None at the end of the range or of all feeds."""
        if self._left == 0:
            return None
        feed = next(self._feeds, None)
        if feed is None:
            if not self.read:
                raise OptimizeError("int8-static was given no data to measure ranges on.")
            return None
        self.read += 1
        self._left = None if self._left is None else self._left - 1
        return dict(feed)

    def __len__(self) -> int:
        feeds = list(self._feeds)
        if not feeds:
            raise OptimizeError("int8-static was given no data to measure ranges on.")
        self._feeds = iter(feeds)
        return len(feeds)

    def count(self) -> int:
        """Return the number of feeds, including those not read because ranges were stored."""
        return self.read + sum(1 for _ in self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Set the range of the next feeds."""
        self._left = end_index - start_index
