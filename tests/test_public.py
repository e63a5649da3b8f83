"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import onnxpack
from onnxpack import errors

HEAVY = (
    "flax", "jax", "jax2onnx", "keras", "lightning", "onnx", "onnx_ir", "onnxruntime", "onnxscript",
    "rich", "safetensors", "sklearn", "torch", "transformers",
)  # fmt: skip


def loaded(code: str) -> list[str]:
    """Which heavy modules a fresh process has after this code."""
    script = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import onnxpack",
        "import onnxpack; dir(onnxpack)",
        "import onnxpack; onnxpack.errors, onnxpack.Pack, onnxpack.open_pack, onnxpack.Signature",
        "import onnxpack.errors, onnxpack.signature, onnxpack.report, onnxpack.plugins",
        "import onnxpack.exporters.target.load, onnxpack.exporters.target.sample",
        "import onnxpack.exporters.lightning.exporter, onnxpack.exporters.torch.exporter",
        "import onnxpack.exporters.keras.exporter, onnxpack.exporters.keras.loaders",
        "import onnxpack.exporters.jax.exporter, onnxpack.exporters.transformers.exporter",
        "import onnxpack.exporters.transformers.loaders, onnxpack.exporters.target.safetensors",
    ],
)
def test_imports_are_light(code: str) -> None:
    assert loaded(code) == []


def test_the_model_loads_no_framework() -> None:
    assert loaded("import onnxpack; onnxpack.Model") == []


def test_export_loads_no_framework() -> None:
    found = loaded("import onnxpack; onnxpack.export")
    assert not {"torch", "lightning", "sklearn", "keras", "jax", "transformers"} & set(found)


def test_the_version_is_that_of_the_distribution() -> None:
    assert onnxpack.__version__ == version("onnxpack")


def test_the_module_is_the_command() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "onnxpack", "--version"], capture_output=True, text=True, check=True
    )
    assert told.stdout == f"onnxpack {onnxpack.__version__}\n"


def test_every_name_is_there() -> None:
    assert set(onnxpack.__all__) >= {
        "Model", "OnnxpackError", "Pack", "Preprocess", "Signature", "TensorSpec", "Tolerance",
        "errors", "export", "open_pack",
    }  # fmt: skip
    assert dir(onnxpack) == sorted(onnxpack.__all__)
    for name in set(onnxpack.__all__) - {"__version__"}:
        value = getattr(onnxpack, name)
        assert isinstance(value, ModuleType) or value.__name__ == name
    namespace: dict[str, object] = {}
    exec("from onnxpack import *", namespace)
    assert set(onnxpack.__all__) <= namespace.keys()
    assert onnxpack.errors is errors


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'onnxpack' has no attribute 'exprot'"):
        onnxpack.exprot  # noqa: B018
