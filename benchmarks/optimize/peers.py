"""All ways to run one model, timed in turn in one run."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from cases import Case

from onnxpack.benchmark.clock import interleave
from onnxpack.benchmark.inputs import resize, sizes_asked
from onnxpack.benchmark.ratio import Ratio, faster
from onnxpack.exporters.choose import exporter_for
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

PACK = "onnxruntime, as exported"
OPENVINO = "OpenVINO, as exported"
SECONDS = 2.0

Predict = Callable[[Mapping[str, Array]], object]


def time_all(
    case: Case, base: Model, others: Mapping[str, Predict], seconds: float = SECONDS
) -> tuple[list[dict[str, object]], dict[str, str]]:
    """Time the framework's ways, the pack, OpenVINO, and others.

    Args:
        case: whose model the framework runs.
        base: the pack as it was exported.
        others: more ways, by name; each takes an array for each input.
        seconds: about how long each way is timed.

    Returns:
        For each way its milliseconds, as the median and of the fastest call, and its ratios to
        the framework's usual way and to the pack, with their 95 % intervals; and why others could
        not be run.
    """
    golden = base.example()
    feeds = resize(base.signature, golden, sizes_asked(base.signature, golden, {})[0])
    calls: dict[str, Callable[[], object]] = {}
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        # Not what was exported, if that is another form of the same model.
        exporter = exporter_for(case.model, case.sample)
        subject = stack.enter_context(exporter.open(case.model, case.sample))
        stack.enter_context(subject.limited(base.threads))
        for baseline in subject.baselines():
            print(f"preparing {baseline.name}", file=sys.stderr)
            try:
                call = baseline.prepare(feeds)
                call()
            except Exception as exc:  # noqa: BLE001 - a framework can fail in any way
                failures[baseline.name] = f"{type(exc).__name__}: {str(exc).splitlines()[:1]}"
            else:
                calls[baseline.name] = call
        calls[PACK] = partial(base.run, feeds)
        opened: list[Predict] = []

        def as_exported(feeds: Mapping[str, Array]) -> object:
            opened[:] = opened or [_openvino(base)]
            return opened[0](feeds)

        others = {OPENVINO: as_exported} | dict(others)
        for name, predict in others.items():
            try:
                predict(feeds)
            except Exception as exc:  # noqa: BLE001 - OpenVINO has no operator for trees
                failures[name] = f"{type(exc).__name__}: {str(exc).strip().splitlines()[-1:]}"
            else:
                calls[name] = partial(predict, feeds)
        print(f"timing {len(calls)} ways in turn", file=sys.stderr)
        timed = interleave(calls, seconds=seconds)
    first = next(iter(timed.values()))
    rows: list[dict[str, object]] = [
        {
            "name": name,
            "ms": own.median * 1e3,
            "fastest_ms": own.percentile(0) * 1e3,
            "to_framework": _pair(faster(own, first)),
            "to_pack": _pair(faster(own, timed[PACK])),
        }
        for name, own in timed.items()
    ]
    return rows, failures


def _pair(ratio: Ratio) -> list[float]:
    return [ratio.value, ratio.low, ratio.high]


def _openvino(base: Model) -> Predict:
    """OpenVINO as it comes, also in its choice of the precision."""
    from onnxpack.runtime.openvino import load_openvino

    openvino: Any = load_openvino()
    settings = {"INFERENCE_NUM_THREADS": base.threads}
    compiled = openvino.Core().compile_model(str(base.pack.model_path), "CPU", settings)
    request = compiled.create_infer_request()

    def predict(feeds: Mapping[str, Array]) -> object:
        return request.infer(dict(feeds))

    return predict
