"""Check with three tiny models that every witness still sees what it must.

The witnesses depend on parts of PyTorch that may change from one release to the next. A broken
witness reports nothing, as it does for a good model. So they are tried before the first export with
a release of PyTorch that this project's tests have not seen.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.flat import FlatModule
from onnxpack.exporters.torch.watch.symbolic import witness
from onnxpack.exporters.torch.watch.unseen import watch_unseen
from onnxpack.exporters.torch.watch.values import find_conversions

TESTED = ("2.14",)
"""The releases of PyTorch with which the tests of this project run."""
SOURCE = """
import torch

class ByValue(torch.nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

class BySize(torch.nn.Module):
    def forward(self, x):
        return x if x.shape[0] > 3 else torch.roll(x, x.shape[0] // 2, 0)

class ByTracer(torch.nn.Module):
    def forward(self, x):
        return x if torch.jit.is_tracing() else -x
"""


def check_witnesses() -> None:
    """Try the witnesses, once a process, if this release of PyTorch is not a tested one.

    Raises:
        ExportError: a witness missed what it must see.
    """
    if torch.__version__.startswith(tuple(f"{release}." for release in TESTED)):
        return
    blind = blind_witnesses()
    if blind:
        raise ExportError(
            f"torch {torch.__version__} was never tested with this version of onnxpack, and "
            f"{', '.join(blind)} cannot be observed with it, so no graph can be trusted.",
            remedy="pip install --upgrade onnxpack",
        )


@cache
def blind_witnesses() -> tuple[str, ...]:
    """Return what the witnesses miss: values, sizes or questions about the tracer."""
    # Code of this package never counts as the user's, so the models are made in another module.
    namespace: dict[str, Any] = {"__name__": "selftest"}
    exec(compile(SOURCE, "<selftest>", "exec"), namespace)  # noqa: S102 - our own text
    sample = torch.ones(2, 4)
    by_value, by_size, by_tracer = (
        FlatModule(namespace[name](), (sample,), {}) for name in ("ByValue", "BySize", "ByTracer")
    )
    with watch_unseen() as unseen:
        by_tracer.answer(sample)
    seen = {
        "values": find_conversions(lambda: by_value.answer(sample)),
        "sizes": witness(by_size, (sample,), [{0: "batch"}], {"batch": 2}).decisions,
        "questions about the tracer": unseen.asked,
    }
    return tuple(what for what, places in seen.items() if not places)
