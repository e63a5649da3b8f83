"""The exporter for Hugging Face transformers: PyTorch's, with sample and axes from the config."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.exporters.torch.exporter import inference_mode_of, refuse_impressions

if TYPE_CHECKING:
    from onnxpack.exporters.transformers.subject import TransformersSubject


class TransformersExporter:
    """Exports every ``PreTrainedModel``."""

    refines = "torch"

    def accepts(self, model: object) -> bool:
        """Return whether the model is a PreTrainedModel; transformers is not imported to say no."""
        home = sys.modules.get("transformers.modeling_utils")
        return home is not None and isinstance(model, home.PreTrainedModel)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[TransformersSubject]:
        """Open the model in eval mode; the default sample is made from its config.

        Raises:
            SampleError: the sample does not fit, or none can be made.
        """
        from onnxpack.exporters.transformers.samples import make_sample
        from onnxpack.exporters.transformers.subject import TransformersSubject

        with inference_mode_of(model):
            made = make_sample(model) if sample is None else None
            if made is None:
                subject = TransformersSubject(model, sample)
            else:
                subject = TransformersSubject(model, made.inputs, notes=made.notes)
            refuse_impressions(subject)
            yield subject
