"""Describe the server and its models as JSON objects."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from statistics import quantiles
from typing import Any

import msgspec

from onnxpack.runtime.variants import BASE
from onnxpack.server.datatypes import NAMES
from onnxpack.server.models.served import Served
from onnxpack.signature import TensorSpec


def describe_server() -> dict[str, Any]:
    """Return the protocol's metadata of the server."""
    return {
        "name": "onnxpack",
        "version": version("onnxpack"),
        "extensions": ["binary_tensor_data"],
    }


def describe_model(served: Served, versions: Sequence[str]) -> dict[str, Any]:
    """Return the protocol's metadata of a model; a dynamic dim is -1."""
    return {
        "name": served.name,
        "versions": versions,
        "platform": f"{served.model.runtime}_onnx",
        "inputs": [_describe(spec) for spec in served.signature.inputs],
        "outputs": [_describe(spec) for spec in served.signature.outputs],
        "parameters": {
            "unchanged": served.unchanged,
            "proven": served.proven,
            "trusted": served.model.pack.trusted,
            "digest": served.model.pack.digest,
            "provider": served.model.provider,
            "variant": served.model.variant or BASE,
            "batching": served.policy.batched,
            "batching_reason": served.policy.reason,
        },
    }


def describe_state(served: Served) -> dict[str, Any]:
    """Return what the page shows of a model: signature, evidence, placement, latency."""
    manifest = served.model.pack.manifest
    return {
        "name": served.name,
        "version": served.version,
        "description": manifest.description if manifest else "",
        "inputs": [_shown(spec) for spec in served.signature.inputs],
        "outputs": [_shown(spec) for spec in served.signature.outputs],
        "labels": len(served.model.labels or ()),
        "digest": served.model.pack.digest,
        "source": msgspec.to_builtins(manifest.source) if manifest else None,
        "evidence": [
            {
                "case": case.name,
                "dims": case.dims,
                "max_abs": max((output.max_abs for output in case.outputs), default=0.0),
                "passed": case.passed,
                "accepted": case.accepted,
            }
            for case in (manifest.parity.cases if manifest else ())
        ],
        "unchanged": served.unchanged,
        "proven": served.proven,
        "trusted": served.model.pack.trusted,
        "provider": served.model.provider,
        "variant": served.model.variant or BASE,
        "placement": served.model.placement,
        "threads": served.model.threads,
        "sessions": len(served.models),
        "batching": served.policy.batched,
        "batching_reason": served.policy.reason,
        "inline": served.policy.inline,
        "requests": served.counters.total().succeeded,
        "latency_seconds": _latency(served),
    }


def _describe(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if isinstance(dim, str) else dim for dim in spec.shape or ()]
    return {"name": spec.name, "datatype": NAMES[spec.dtype], "shape": shape}


def _shown(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "dtype": spec.dtype, "shape": spec.shape, "text": str(spec)}


def _latency(served: Served) -> dict[str, Any]:
    recent = list(served.stats.recent)
    if len(recent) < 2:
        return {"recent": recent}
    cuts = quantiles(recent, n=100, method="inclusive")
    return {"recent": recent, "p50": cuts[49], "p90": cuts[89], "p99": cuts[98]}
