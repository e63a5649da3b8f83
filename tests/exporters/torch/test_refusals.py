"""What is said to a user whose model is refused, to the letter.

The texts stand in ``golden/``. After a change that is meant, write them anew and read the
difference::

    REWRITE_GOLDEN=1 python -m pytest tests/exporters/torch/test_refusals.py && git diff
"""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch

import onnxpack
from onnxpack.errors import OnnxpackError

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("refused_models", HERE / "refused_models.py")
assert _spec is not None
assert _spec.loader is not None
models = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(models)

FOREIGN = re.compile(
    r"^(  (?:dynamo|dynamo, differentiated|torchscript script)): (?!answers differently).*$",
    re.MULTILINE,
)
"""What PyTorch's own exporters say changes with each release."""
NUMBER = re.compile(r"(?<=largest error )\S+(?=,)|(?<=allowed )[\d.e+-]+\d")


def said(error: OnnxpackError) -> str:
    """Its text, without what differs between machines and releases."""
    text = FOREIGN.sub(r"\1: …", f"{type(error).__name__}: {error}")
    text = re.sub(r"(?<=it exports: ).*", "…", text)
    return NUMBER.sub("#", text) + "\n"


@pytest.mark.parametrize("name", models.REFUSED)
def test_to_the_letter(tmp_path: Path, name: str) -> None:
    make, sample, options = models.REFUSED[name]
    torch.manual_seed(0)
    with pytest.raises(OnnxpackError) as caught:
        onnxpack.export(make(), sample(), tmp_path / "pack", **options)
    assert list(tmp_path.iterdir()) == []
    golden = HERE / "golden" / f"{name.replace(' ', '_')}.txt"
    if os.environ.get("REWRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(said(caught.value))
    assert said(caught.value) == golden.read_text()


def test_every_text_has_its_model() -> None:
    known = {f"{name.replace(' ', '_')}.txt" for name in models.REFUSED}
    assert {path.name for path in (HERE / "golden").iterdir()} == known
