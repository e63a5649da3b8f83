"""The exporter for Lightning modules: PyTorch's, with the module's own sample as default."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from onnxpack.errors import SampleError
from onnxpack.exporters.torch.exporter import inference_mode_of

if TYPE_CHECKING:
    from onnxpack.exporters.torch.subject import TorchSubject

HOMES = {"lightning.pytorch": "lightning", "pytorch_lightning": "pytorch-lightning"}
"""The two packages that Lightning is published as, with their distributions."""


class LightningExporter:
    """Exports every ``LightningModule``."""

    refines = "torch"

    def accepts(self, model: object) -> bool:
        """Return whether the model is a LightningModule; Lightning is not imported to say no."""
        return _distribution(model) is not None

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[TorchSubject]:
        """Open the module in eval mode; the default sample is its ``example_input_array``.

        Raises:
            SampleError: the user gave no sample, and the module has no ``example_input_array``.
        """
        from onnxpack.exporters.torch.subject import TorchSubject

        sample = model.example_input_array if sample is None else sample
        if sample is None:
            raise SampleError(
                f"{type(model).__name__} has no example_input_array, and no sample was given.",
                remedy="set self.example_input_array = torch.zeros(1, ...) in __init__, or pass "
                "a sample",
                option="--sample 1x3x224x224",
            )
        with inference_mode_of(model):
            subject = TorchSubject(model, sample, framework="lightning")
            subject.framework_version = version(_distribution(model) or "lightning")
            yield subject


def _distribution(model: object) -> str | None:
    for home, distribution in HOMES.items():
        module = sys.modules.get(home)
        if module is not None and isinstance(model, module.LightningModule):
            return distribution
    return None
