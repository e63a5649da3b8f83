"""Quantise weights and activations to int8 (QDQ) with NNCF.

NNCF also corrects biases and smooths activations.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import MissingExtraError, OptimizeError
from onnxpack.graph.passes.attempt import attempt, check_names, count_nodes, finish
from onnxpack.graph.passes.attention import has_attention
from onnxpack.graph.passes.int8_static import Feeds
from onnxpack.graph.passes.keep_float import keep_float
from onnxpack.graph.passes.prepare import names_after, prepared
from onnxpack.pack.manifest import Step

if TYPE_CHECKING:
    from onnx import ModelProto

SUBSET = 300
"""Feeds that are used at most, as by NNCF's own default."""


def quantize_nncf(
    source: Path,
    to: Path,
    feeds: Feeds,
    *,
    subset: int = SUBSET,
    exclude: Sequence[str] = (),
    narrow: bool = False,
) -> Step:
    """Quantise with ``nncf.quantize``; a graph with attention is quantised as a transformer.

    The graph is meant for OpenVINO. NNCF quantises an operator's inputs and not its outputs, so
    ONNX Runtime 1.32 computes convolutions in float32 and unpacks their weights at each run:
    EfficientNet-lite0 takes twice as long as in float32. Matrix products are faster.

    Args:
        source: path of the graph.
        to: path of the new graph.
        feeds: data to measure the ranges of activations on: an array for each input.
        subset: most feeds that are used; they are held in memory.
        exclude: names of nodes that stay float32.
        narrow: use only 7 bits of the weights, so that the sum of two products fits into the 16
            bits of x86 processors without VNNI.

    Raises:
        OptimizeError: no feed is given, there is nothing to quantise, or the quantisation fails.
        MissingExtraError: NNCF is not installed.
    """
    with attempt("nncf-int8", source, to) as under_way, _without_telemetry():
        import onnx

        nncf = _import_nncf()
        check_names(under_way.model, exclude, "nncf-int8")
        rows: list[Mapping[str, Any]] = [dict(feed) for feed in islice(feeds, subset)]
        if not rows:
            raise OptimizeError("nncf-int8 was given no data to measure ranges on.")
        transformer = has_attention(under_way.model)
        model = onnx.load(prepared(under_way))
        made = _quantize(nncf, model, rows, exclude, transformer=transformer, narrow=narrow)
        if not count_nodes(made, "QuantizeLinear"):
            raise OptimizeError(
                f"nncf-int8 has nothing to do: no node of {source.name} can be quantised."
            )
        _make_unsigned(made)
        keep_float(made)
        finish(made, source, to, under_way)
        kind = "transformer" if transformer else "none"
        bits = 7 if narrow else 8
        options = {"model_type": kind, "rows": len(rows), "exclude": sorted(exclude), "bits": bits}
        return Step("nncf-int8", {**options, "nncf": nncf.__version__})


def _quantize(
    nncf: Any,
    model: ModelProto,
    rows: list[Mapping[str, Any]],
    exclude: Sequence[str],
    *,
    transformer: bool,
    narrow: bool,
) -> ModelProto:
    # NNCF raises an error for names that the graph does not have.
    there = {node.name for node in model.graph.node} & set(names_after(exclude))
    with _without_progress():
        made: ModelProto = nncf.quantize(
            model,
            nncf.Dataset(rows),
            subset_size=len(rows),
            # Ranges of activations need not be symmetric, with or without attention.
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE if narrow else None
            ),
            ignored_scope=nncf.IgnoredScope(names=sorted(there)) if there else None,
        )
    return made


def _make_unsigned(model: ModelProto) -> None:
    """Store activations as uint8: NNCF 3.4 uses int8 for those that can be negative.

    Both types have 256 values, 128 apart, so no answer changes. ONNX Runtime has fast int8 by int8
    kernels for few processors: without this, MiniLM is 1.4 times slower on a processor with AMX.
    """
    from onnx import TensorProto, helper, numpy_helper

    zeros = {w.name: w for w in model.graph.initializer if w.data_type == TensorProto.INT8}
    weights = {weight.name for weight in model.graph.initializer}
    changed: dict[str, TensorProto] = {}
    quantized: set[str] = set()
    for node in model.graph.node:
        is_activation = (node.op_type == "QuantizeLinear" and node.input[0] not in weights) or (
            node.op_type == "DequantizeLinear" and node.input[0] in quantized
        )
        if not is_activation or len(node.input) < 3 or node.input[2] not in zeros:
            continue
        quantized |= set(node.output) if node.op_type == "QuantizeLinear" else set()
        zero = zeros[node.input[2]]
        name = f"{zero.name}_unsigned"
        shifted = numpy_helper.to_array(zero).astype(int) + 128
        changed[name] = helper.make_tensor(name, TensorProto.UINT8, zero.dims, shifted.flatten())
        node.input[2] = name
    used = {name for node in model.graph.node for name in node.input}
    for zero in zeros.values():
        if zero.name not in used:
            model.graph.initializer.remove(zero)
    model.graph.initializer.extend(changed.values())
    # The stated types of quantised values are outdated.
    inner = [value for value in model.graph.value_info if value.name not in quantized]
    del model.graph.value_info[:]
    model.graph.value_info.extend(inner)


def _import_nncf() -> Any:
    try:
        import nncf
    except ImportError as exc:
        raise MissingExtraError("nncf", extra="optimize") from exc
    return nncf


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import and run NNCF without its telemetry, which writes to the home folder and sends data.

    NNCF 3.4 has no setting for it. If ``openvino_telemetry`` cannot be imported, it uses a stub.
    """
    absent = object()
    before: Any = sys.modules.get("openvino_telemetry", absent)
    if "nncf" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # import fails
    try:
        if "nncf" not in sys.modules:
            _import_nncf()
        with _stubbed_telemetry():
            yield
    finally:
        if before is absent:
            sys.modules.pop("openvino_telemetry", None)
        else:
            sys.modules["openvino_telemetry"] = before


@contextmanager
def _stubbed_telemetry() -> Iterator[None]:
    """Replace the telemetry of an NNCF that the user imported before."""
    from nncf.telemetry import decorator, wrapper

    before = decorator.telemetry
    decorator.telemetry = wrapper.NNCFTelemetryStub()
    try:
        yield
    finally:
        decorator.telemetry = before


@contextmanager
def _without_progress() -> Iterator[None]:
    """Disable NNCF's progress bars, which rich draws from its own thread."""
    from nncf.common.logging import track_progress

    bar: Any = track_progress.track
    plain = bar.__init__
    bar.__init__ = functools.partialmethod(plain, disable=True)
    try:
        yield
    finally:
        bar.__init__ = plain
