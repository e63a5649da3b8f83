"""What a call of ``onnxpack.Model`` costs over a bare ``InferenceSession.run``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

import onnxpack
from measure import machine, pairs, per_call
from mlp import make_pack

CALLS = 20_000
PAIRS = 15


def main() -> None:
    """Print a Markdown table of µs a call."""
    with TemporaryDirectory() as folder:
        pack = make_pack(Path(folder))
        model = onnxpack.Model(pack, provider="cpu", threads=1)
        session = _bare_session(pack)
        x = np.random.default_rng(0).standard_normal((1, 64)).astype(np.float32)
        bare = partial(session.run, ["output"], {"input": x})
        calls = {
            "`model(x)`": lambda: model(x),
            "`model(input=x)`": lambda: model(input=x),
            "`model.run({...})`": lambda: model.run({"input": x}),
        }
        print(f"{machine()}; MLP 64-64-10, batch 1, 1 thread\n")
        print("| call | µs | bare `run` µs | ratio | quartiles | overhead µs |")
        print("|---|---|---|---|---|---|")
        for name, call in calls.items():
            measured = pairs(partial(per_call, call, CALLS), partial(per_call, bare, CALLS), PAIRS)
            over = median(a - b for a, b in zip(measured.ours, measured.theirs, strict=True))
            print(f"{measured.row(name, 1e-6, 2)} {over * 1e6:.2f} |")


def _bare_session(pack: onnxpack.Pack) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        pack.model_path, options, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    main()
