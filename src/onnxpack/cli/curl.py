"""Make a curl command that sends a request to a server that was just started."""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxpack.server.ready import Ready
    from onnxpack.signature import TensorSpec

MOST_VALUES = 64
"""Most values of an input for which a command is shown."""


def curl_line(ready: Ready, *, keys: bool, tls: bool) -> str:
    """Return a command that predicts with the first model and works when pasted."""
    model = ready.models[0]
    line = ["curl", "-sk" if tls else "-s"]
    if keys:
        line += ["-H", "Authorization: Bearer KEY"]
    inputs = model.signature.inputs
    first = inputs[0]
    url = f"{ready.address}/v2/models/{model.name}"
    if all(_size(spec) <= MOST_VALUES for spec in inputs):
        example: Any = {spec.name: _zeros(spec) for spec in inputs}
        content = json.dumps(example if len(inputs) > 1 else example[first.name])
        line += ["-H", "Content-Type: application/json", "-d", content]
    elif len(inputs) == 1 and _is_picture(first):
        line += ["-H", "Content-Type: image/jpeg", "--data-binary", "@picture.jpg"]
    elif len(inputs) == 1:
        line += ["-H", "Content-Type: application/x-npy", "--data-binary", "@input.npy"]
    else:
        return shlex.join([*line, url])
    return shlex.join([*line, f"{url}/predict"])


def _sizes(spec: TensorSpec) -> list[int]:
    return [dim if isinstance(dim, int) else 1 for dim in spec.shape or ()]


def _size(spec: TensorSpec) -> int:
    return math.prod(_sizes(spec))


def _is_picture(spec: TensorSpec) -> bool:
    sizes = _sizes(spec)
    return len(sizes) == 4 and (sizes[1] in (1, 3) or sizes[3] in (1, 3))


def _zeros(spec: TensorSpec) -> Any:
    value: Any = {"str": "text", "bool": False}.get(spec.dtype, 0)
    for size in reversed(_sizes(spec)):
        value = [value] * size
    return value
