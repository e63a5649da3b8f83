"""Name a Keras model's outputs."""

from __future__ import annotations

from typing import Any

from onnxpack.errors import ExportError


def name_outputs(model: Any, answer: Any) -> dict[str, Any]:
    """Return the tensors of an answer, named by a dict's keys or by the output layers.

    Raises:
        ExportError: the answer holds no tensor.
    """
    import keras

    paths = [
        (path, value) for path, value in keras.tree.flatten_with_path(answer) if value is not None
    ]
    if not paths:
        raise ExportError(f"the output of {model.name!r} contains no tensor.")
    if len(paths) == 1 and not isinstance(answer, dict):
        return {"output": paths[0][1]}
    layers = getattr(model, "output_names", None) or []
    flat = isinstance(answer, list | tuple) and len(layers) == len(paths) == len(set(layers))
    if flat:
        return dict(zip(layers, (value for _, value in paths), strict=True))
    start = "" if isinstance(answer, dict) else "output_"
    return {f"{start}{'_'.join(map(str, path))}": value for path, value in paths}
