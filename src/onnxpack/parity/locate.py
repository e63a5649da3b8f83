"""Find the node at which a wrong graph first differs from the framework.

The framework's modules and the graph's nodes share names: a node is called ``layer1.0.conv1/Conv``
after the module that it came from (see ``export/finish.py``). So each module's output can be
compared with the output of its last node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx_ir as ir

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import PackError
from onnxpack.pack.model import Pack
from onnxpack.parity.beside import save_beside
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

MAX_PROBES = 2000
"""Largest number of extra outputs: more would make a session slow to open and show nothing new."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first node whose output differs, and the last module that still agreed."""

    node: str
    op_type: str
    agreed: str
    reason: str

    def __str__(self) -> str:
        after = f", after {self.agreed!r}, which agrees" if self.agreed else ""
        return f"{self.node!r} is the first node that differs{after}: {self.reason}"


def locate(
    graph: Path, feeds: Mapping[str, Array], trace: Mapping[str, Array], tolerance: Tolerance
) -> Divergence | None:
    """Return the first node that differs; None if no module's output shows a difference.

    Args:
        graph: the candidate that differs.
        feeds: inputs for which it differs.
        trace: the output of each module of the framework, in the order of execution.
    """
    model = ir.load(graph)
    last = _last_nodes(model.graph, trace)
    try:
        actual = _run_with_outputs(model, list(last.values()), feeds)
    except PackError:
        return None
    return _first_after_agreement(last, trace, actual, tolerance)


def scope_of(node_name: str) -> str:
    """Return the module that a node came from: ``layer1.0.conv1`` for ``layer1.0.conv1/Conv``."""
    return node_name.rpartition("/")[0]


def _last_nodes(graph: ir.Graph, scopes: Iterable[str]) -> dict[str, ir.Node]:
    """Return for each module the last of its nodes that gives a tensor, in the given order."""
    ends: dict[str, ir.Node] = {}
    for node in graph:
        parts = scope_of(node.name or "").split(".")
        for depth in range(1, len(parts) + 1):
            ends[".".join(parts[:depth])] = node
    known = [scope for scope in scopes if scope in ends and ends[scope].outputs[0].name]
    return {scope: ends[scope] for scope in known[:MAX_PROBES]}


def _run_with_outputs(
    model: ir.Model, nodes: Iterable[ir.Node], feeds: Mapping[str, Array]
) -> dict[str, Array]:
    present = {value.name for value in model.graph.outputs}
    for value in dict.fromkeys(node.outputs[0] for node in nodes):
        if value.name not in present:
            model.graph.outputs.append(value)
    with TemporaryDirectory(prefix="onnxpack-") as folder:
        path = Path(folder, "probe.onnx")
        save_beside(model, path)
        return Model(Pack(path=path, model_path=path), provider="cpu").run(feeds)


def _first_after_agreement(
    last: Mapping[str, ir.Node],
    trace: Mapping[str, Array],
    actual: Mapping[str, Array],
    tolerance: Tolerance,
) -> Divergence | None:
    """Return the first disagreement after the last agreement.

    A module that the exporter fused with the next one disagrees by itself; what follows it
    agrees again and clears it.
    """
    found: Divergence | None = None
    agreed = ""
    for scope, node in last.items():
        name = node.outputs[0].name or ""
        if name not in actual:
            continue
        evidence = compare(scope, trace[scope], actual[name], tolerance)
        if evidence.passed:
            found, agreed = None, scope
        elif found is None:
            found = Divergence(node.name or name, node.op_type, agreed, evidence.reason)
    return found
