"""Open a graph in a child process first, if its constants may want much memory or time.

ONNX Runtime computes constants when it opens a graph or in its first run, whatever the input.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping

from onnxpack.pack.bounds.appraise import appraise
from onnxpack.runtime.catalog import CPU
from onnxpack.signature import Array, Signature

MADE_UP = 2**28
"""Most bytes of inputs that are made up."""

_PROGRAM = """from onnxpack.runtime.rehearsal import perform
    perform(*sys.argv[1:])"""


def rehearse(name: str, graph: mmap.mmap | bytes, copy: int, weights: Mapping[str, int]) -> None:
    """Open a graph in a child process, and run it once, unless it is plain.

    Args:
        name: file name of the graph, for messages.
        graph: bytes of the graph.
        copy: descriptor of the file of the graph.
        weights: descriptor of each file of weights, by the location that the graph gives.

    Raises:
        BoundsError: the graph takes too much memory or time, or ends the child.
    """
    beside = sum(os.fstat(each).st_size for each in weights.values())
    found = appraise(graph, name, beside=beside)
    if found.doubt:
        import json

        from onnxpack.pack.bounds.limited import try_limited

        arguments = [name, str(copy), json.dumps(weights)]
        try_limited(
            _PROGRAM,
            arguments,
            name,
            found.doubt,
            found.memory,
            len(graph) + beside,
            (copy, *weights.values()),
        )


def perform(name: str, copy: str, weights: str) -> None:
    """Open a graph and run it once; this is what the child does."""
    import json

    from onnxpack.runtime.private_copy import PrivateGraph
    from onnxpack.runtime.session import open_session, run
    from onnxpack.runtime.signature import read_signature

    contents = {
        location: mmap.mmap(each, 0, access=mmap.ACCESS_READ) if os.fstat(each).st_size else b""
        for location, each in json.loads(weights).items()
    }
    graph = PrivateGraph(name, f"/proc/self/fd/{copy}", contents)
    session = open_session(graph, [CPU], threads=1)
    signature = read_signature(session)
    inputs = make_up(signature)
    if inputs is not None:
        run(session, [spec.name for spec in signature.outputs], inputs, "cpu")


def make_up(signature: Signature) -> dict[str, Array] | None:
    """Return inputs of zeros or empty texts, one row each; None if they would be large."""
    import numpy as np

    inputs, left = dict[str, Array](), MADE_UP
    for spec in signature.inputs:
        shape = [1 if isinstance(dim, str) else dim for dim in spec.shape or ()]
        dtype = np.dtype(spec.numpy_dtype)
        left -= dtype.itemsize * int(np.prod([float(dim) for dim in shape]))
        if left < 0:
            return None
        inputs[spec.name] = np.full(shape, "" if dtype.kind == "O" else 0, dtype)
    return inputs
