"""The subject of a transformers model: PyTorch's, with axes and labels from the config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transformers import __version__

from onnxpack.exporters.torch.subject import TorchSubject
from onnxpack.exporters.transformers.padding import make_edges
from onnxpack.exporters.transformers.samples import takes
from onnxpack.parity.axes import name_axes
from onnxpack.signature import Array

NAMED = {
    "input_ids": "tokens",
    "attention_mask": "tokens",
    "token_type_ids": "tokens",
    "position_ids": "tokens",
    "inputs_embeds": "tokens",
    "bbox": "tokens",
    "decoder_input_ids": "decoder_tokens",
    "decoder_attention_mask": "decoder_tokens",
    "input_values": "samples",
}
"""Names of the second axis of inputs, by the inputs' names."""
RANKS = {"bbox": (3,), "inputs_embeds": (3,), "token_type_ids": (2, 3)}
"""Numbers of axes of inputs, if not 2: TAPAS has seven types a token."""


class TransformersSubject(TorchSubject):
    """A ``PreTrainedModel`` in eval mode with its sample; its cache of keys and values is off.

    Args:
        model: the model.
        sample: the user's sample, or a generated one.
        notes: notes about the sample for the user.
    """

    def __init__(self, model: Any, sample: Any, *, notes: Sequence[str] = ()) -> None:
        without_cache = self._without_cache(model, sample)
        super().__init__(model, without_cache, framework="transformers")
        self.framework_version = __version__
        self.dynamic = _named_axes(self.sample)
        cached = (
            "the pack neither takes nor returns the attention's keys and values (past_key_values)"
        )
        switched = without_cache is not sample
        own = (note for note in self.notes if "'use_cache'" not in note)
        self.notes = (*notes, *own, *([cached] if switched else ()))
        self.labels = class_names(model)

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        """Yield inputs with padding, and lengths that matter to this model."""
        axes = name_axes(self.sample, self.dynamic, static=False)
        yield from make_edges(self.model, self.sample, axes)

    @staticmethod
    def _without_cache(model: Any, sample: Any) -> Any:
        named = isinstance(sample, Mapping)
        if named and "use_cache" in takes(model) and "use_cache" not in sample:
            return {**sample, "use_cache": False}
        return sample


def _named_axes(sample: Mapping[str, Array]) -> dict[str, dict[int, str]]:
    """Return the name of each input's second axis; a mask has the axis of the input it masks."""
    heard = "input_values" in sample and "input_ids" not in sample
    names = {**NAMED, "attention_mask": NAMED["input_values"]} if heard else NAMED
    return {
        name: {1: names[name]}
        for name, array in sample.items()
        if name in names and array.ndim in RANKS.get(name, (2,))
    }


def class_names(model: Any) -> tuple[str, ...] | None:
    """Return the names of the classes; None if the config has only numbered ones: ``LABEL_0``."""
    names = getattr(model.config, "id2label", None) or {}
    told = [name for number, name in names.items() if name != f"LABEL_{number}"]
    if "Classification" not in type(model).__name__ or not told:
        return None
    return tuple(str(names[number]) for number in sorted(names))
