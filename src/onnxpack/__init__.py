"""Export a trained model to an ONNX pack and prove that its predictions stay the same.

>>> import onnxpack
>>> pack = onnxpack.export(model, sample, "resnet18")     # doctest: +SKIP
>>> onnxpack.Model(pack)(picture)                         # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from onnxpack import errors as errors
    from onnxpack.benchmark.bench import bench as bench
    from onnxpack.comparison.tolerance import Tolerance as Tolerance
    from onnxpack.errors import OnnxpackError as OnnxpackError
    from onnxpack.exporters.export import export as export
    from onnxpack.optimizer.audit import audit as audit
    from onnxpack.optimizer.optimize import optimize as optimize
    from onnxpack.pack.manifest import Preprocess as Preprocess
    from onnxpack.pack.model import Pack as Pack
    from onnxpack.pack.read import open_pack as open_pack
    from onnxpack.parity.check import check as check
    from onnxpack.runtime.model import Model as Model
    from onnxpack.server.run import serve as serve
    from onnxpack.server.settings import Settings as Settings
    from onnxpack.signature import Signature as Signature
    from onnxpack.signature import TensorSpec as TensorSpec

_HOMES = {
    "Model": "onnxpack.runtime.model",
    "OnnxpackError": "onnxpack.errors",
    "Pack": "onnxpack.pack.model",
    "Preprocess": "onnxpack.pack.manifest",
    "Signature": "onnxpack.signature",
    "TensorSpec": "onnxpack.signature",
    "Tolerance": "onnxpack.comparison.tolerance",
    "Settings": "onnxpack.server.settings",
    "audit": "onnxpack.optimizer.audit",
    "bench": "onnxpack.benchmark.bench",
    "check": "onnxpack.parity.check",
    "export": "onnxpack.exporters.export",
    "optimize": "onnxpack.optimizer.optimize",
    "open_pack": "onnxpack.pack.read",
    "serve": "onnxpack.server.run",
}

__all__ = ["__version__", "errors", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("onnxpack.errors")
    if name == "__version__":
        from importlib.metadata import version

        return version("onnxpack")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
