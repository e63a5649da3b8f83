"""Which plug-ins of jax2onnx are loaded."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import sys
import jax
from onnxpack.exporters.jax.plugins import layers_unknown

with layers_unknown():
    pass
print(*sorted({name.split(".")[2] for name in sys.modules if name.startswith("jax2onnx.plugins.")}))
"""


def test_examples_and_libraries_that_are_not_loaded_are_left_out() -> None:
    """jax2onnx 0.17 compiles layers of Equinox when it loads its plug-ins and examples."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "jax" in loaded
    assert not loaded & {"dm_pix", "equinox", "examples"}
