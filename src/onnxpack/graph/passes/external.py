"""Move weights into a file beside the graph, which is mapped into memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attempt import attempt, publish
from onnxpack.pack.manifest import Step

if TYPE_CHECKING:
    from onnx import TensorProto

PAGE = 4096
"""Bytes of a page; a tensor must fill one to be mapped, and smaller ones stay in the graph."""


def move_weights(source: Path, to: Path) -> Step:
    """Move weights to ``<name>.data``, each at the beginning of a page.

    ONNX Runtime maps such a file: weights are read from disk when they are first used, and
    processes share them. This shortens the start and changes no answer.

    Raises:
        OptimizeError: no weight fills a page.
    """
    with attempt("external", source, to) as under_way:
        import onnx
        from onnx.external_data_helper import set_external_data

        folder = under_way.scratch / "made"
        folder.mkdir()
        # Loaded again, without the names that the attempt gave to nodes.
        model = onnx.load(source)
        data = f"{to.name}.data"
        moved = 0
        with (folder / data).open("wb") as file:
            for weight in model.graph.initializer:
                content = _content(weight)
                if len(content) < PAGE:
                    continue
                file.write(bytes(-file.tell() % PAGE))
                weight.raw_data = content
                set_external_data(weight, data, offset=file.tell(), length=len(content))
                file.write(content)
                weight.ClearField("raw_data")
                moved += 1
        if not moved:
            raise OptimizeError(f"external has nothing to do: no weight has at least {PAGE} bytes.")
        # Not with onnx.save, which would write the weights again.
        (folder / to.name).write_bytes(model.SerializeToString(deterministic=True))
        publish(folder, to, "external")
        return Step("external", {"page": PAGE, "tensors": moved})


def _content(weight: TensorProto) -> bytes:
    """Return a tensor's bytes as stored in a file; empty for text, which must stay in the graph."""
    import onnx
    from onnx import numpy_helper

    if weight.data_type == onnx.TensorProto.STRING:
        return b""
    if weight.HasField("raw_data"):
        return weight.raw_data
    # Only small tensors and old files store values in typed fields.
    again = numpy_helper.from_array(numpy_helper.to_array(weight))
    return again.raw_data if again.data_type == weight.data_type else b""
