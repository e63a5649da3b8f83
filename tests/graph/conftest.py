"""Graphs of a few nodes, as files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

Shapes = Mapping[str, Sequence[Any] | None]


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Shapes,
    outputs: Sequence[str] = ("y",),
    *,
    weights: Mapping[str, Any] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
    opset: int = 23,
    dtypes: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """A model whose outputs state no shape, so that all of them must be inferred."""

    def value(name: str, shape: Sequence[Any] | None) -> onnx.ValueInfoProto:
        kind = (dtypes or {}).get(name, onnx.TensorProto.FLOAT)
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        list(nodes),
        "g",
        [value(name, shape) for name, shape in inputs.items()],
        [value(name, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(w), n) for n, w in (weights or {}).items()],
    )
    opsets = [("", opset), *((domain, 1) for domain in domains)]
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(*entry) for entry in opsets],
        functions=list(functions),
        ir_version=10,
        producer_name="pytest",
        producer_version="1",
    )


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Build a model and give its path."""

    def saved(*args: Any, **options: Any) -> Path:
        path = tmp_path / "model.onnx"
        onnx.save(build(*args, **options), path)
        return path

    return saved


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export a PyTorch module, untrained, with a dynamic batch."""

    def exported(module: Any, *shape: int) -> Path:
        import torch

        path = tmp_path_factory.mktemp("graph") / "model.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own
            torch.onnx.export(
                module.eval(),
                (torch.zeros(2, *shape),),
                str(path),
                dynamo=False,
                input_names=["x"],
                output_names=["y"],
                dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
            )
        return path

    return exported
