"""The exporter for Keras 3 models, whichever backend they run on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.errors import ExportError
from onnxpack.exporters.overrides import defined_in
from onnxpack.exporters.unchanged import unchanged

if TYPE_CHECKING:
    from onnxpack.parity.subject import Subject

PREDICTS = ("predict", "predict_on_batch", "predict_step", "make_predict_function")
"""Methods with which Keras answers."""
BY_TABLES = ("Hashing", "HashedCrossing", "IntegerLookup", "StringLookup", "TextVectorization")
"""Layers that look words and numbers up in TensorFlow's tables."""


class KerasExporter:
    """Exports every ``keras.Model``."""

    refines = "torch"

    def accepts(self, model: object) -> bool:
        """Return whether the model is a Keras model; Keras is not imported to say no."""
        keras = sys.modules.get("keras")
        kind = getattr(keras, "Model", None)
        return kind is not None and isinstance(model, kind)

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[Subject]:
        """Open the model, which is called as ``model(inputs, training=False)``.

        Raises:
            SampleError: the sample does not fit, or none was given and the model states no input.
            ExportError: the model keeps a state between calls, looks words up in tables, or has a
                ``predict()`` of its own.
        """
        import keras

        from onnxpack.exporters.keras.inputs import Inputs
        from onnxpack.exporters.keras.settings import keras_settings_kept

        _refuse_own_predict(model)
        _refuse_layers(model)
        inputs = Inputs.of(model, sample)
        if keras.config.backend() != "torch":
            from onnxpack.exporters.keras.foreign import ForeignSubject

            with unchanged(model), keras_settings_kept(model):
                yield ForeignSubject(model, inputs)
            return
        from onnxpack.exporters.keras.subject import KerasSubject
        from onnxpack.exporters.torch.exporter import inference_mode_of, refuse_impressions

        with inference_mode_of(model), keras_settings_kept(model):
            subject = KerasSubject(model, inputs)
            refuse_impressions(subject)
            subject.look_for_loops()
            yield subject


def _refuse_own_predict(model: Any) -> None:
    """Raise an error if ``predict()`` may answer differently from ``call()``.

    Raises:
        ExportError: the model overrides a method that answers.
    """
    for name in PREDICTS:
        if not defined_in(getattr(getattr(model, name), "__func__", None), {"keras"}):
            raise ExportError(
                f"{type(model).__name__}.{name} is not Keras's own method, but a pack answers "
                "like model(inputs, training=False): its answers may differ from those of "
                "predict().",
                remedy=f"move the code of {name}() into call(), or remove it from the class",
            )


def _refuse_layers(model: Any) -> None:
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way in
        kind = type(layer).__name__
        if getattr(layer, "stateful", False):
            raise ExportError(
                f"layer {layer.name!r} ({kind}) keeps a state between calls, which a graph cannot.",
                remedy="create it with stateful=False; to carry a state, take it as an input "
                f"and return it: {kind}(..., return_state=True)",
            )
        if kind in BY_TABLES:
            raise ExportError(
                f"layer {layer.name!r} ({kind}) looks its input up in a TensorFlow table, which "
                "a graph cannot hold.",
                remedy=f"call {layer.name} before the model, and export the rest: "
                "keras.Model(the next layer's input, model.output)",
            )
