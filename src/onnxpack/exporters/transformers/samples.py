"""Make a sample for a model without one: sentences if it has a tokenizer, else random values.

Sizes are taken from the config. The sample is only as good as the config, so real inputs are
better.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.exporters.transformers.contained import contained
from onnxpack.signature import Array

ROWS, TOKENS, DECODED = 2, 12, 6
SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "A pack is proven.",
]
AUDIO_SAMPLES = 4000
DEFAULT_SIDE = 224
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "spiece.model")
FIRST_WORD = 5
"""In most vocabularies, smaller ids are marks such as padding and ends of sentences."""


@dataclass(frozen=True, slots=True)
class MadeSample:
    """Inputs by name, with notes about them for the user."""

    inputs: Mapping[str, Array]
    notes: tuple[str, ...]


def make_sample(model: Any) -> MadeSample:
    """Return inputs for this model.

    Raises:
        SampleError: the model takes an input that cannot be generated.
    """
    taken = takes(model)
    makers: Mapping[str, Callable[[Any], Mapping[str, Array]]] = {
        "input_ids": _text,
        "pixel_values": _pictures,
        "input_features": _spectrograms,
        "input_values": _audio,
    }
    wanted = [name for name in makers if name in _main_inputs(model, taken)]
    if not wanted:
        raise SampleError(
            f"no sample can be generated for {type(model).__name__}, whose main input is "
            f"{model.main_input_name!r}.",
            remedy=f'give one: onnxpack.export(model, {{"{model.main_input_name}": ...}}, ...)',
        )
    inputs: dict[str, Array] = {}
    for name in wanted:
        inputs |= makers[name](model)
    if model.config.is_encoder_decoder and "decoder_input_ids" in taken:
        inputs["decoder_input_ids"] = _words(model, (ROWS, DECODED))
    return MadeSample(inputs, (f"the sample was generated from the config: {', '.join(inputs)}",))


def takes(model: Any) -> list[str]:
    """Return the names of the parameters of the model's ``forward``."""
    return list(inspect.signature(model.forward).parameters)


def _main_inputs(model: Any, taken: list[str]) -> set[str]:
    """Return the main input that the class names, and both inputs if the model has two towers."""
    towers = {"vision_config", "text_config"} <= set(model.config.to_dict())
    both = {"input_ids", "pixel_values"} if towers else set()
    return ({model.main_input_name} | both) & set(taken)


def _text(model: Any) -> dict[str, Array]:
    taken = takes(model)
    found = _sentences(model.name_or_path) or _noise(model)
    if "token_type_ids" in taken and getattr(model.config, "type_vocab_size", 0) > 1:
        half = np.zeros_like(found["input_ids"])
        half[:, found["input_ids"].shape[1] // 2 :] = 1
        found["token_type_ids"] = half
    return {name: found[name] for name in taken if name in found}


def _sentences(folder: str) -> dict[str, Array]:
    """Return two tokenized sentences of different lengths; empty without a tokenizer."""
    home = Path(folder)
    if not folder or not any((home / name).is_file() for name in TOKENIZER_FILES):
        return {}
    from transformers import AutoTokenizer

    with contained(home):
        tokenizer = AutoTokenizer.from_pretrained(
            home, local_files_only=True, trust_remote_code=False
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokens = tokenizer(SENTENCES, padding=True, return_tensors="np")
    return {name: array.astype(np.int64) for name, array in tokens.items()}


def _noise(model: Any) -> dict[str, Array]:
    mask = np.ones((ROWS, TOKENS), np.int64)
    mask[1, TOKENS - 3 :] = 0
    return {"input_ids": _words(model, (ROWS, TOKENS)), "attention_mask": mask}


def _words(model: Any, shape: tuple[int, int]) -> Array:
    """Return random ids, with an end-of-sentence id if the model looks for one."""
    config = text_config(model)
    low = min(FIRST_WORD, config.vocab_size - 1)
    ids = np.random.default_rng(0).integers(low, config.vocab_size, shape)
    end = getattr(config, "eos_token_id", None)
    if isinstance(end, int) and 0 <= end < config.vocab_size:
        ids[:, -1] = end
    return ids


def _pictures(model: Any) -> dict[str, Array]:
    config = getattr(model.config, "vision_config", model.config)
    size = getattr(config, "image_size", None) or DEFAULT_SIDE
    height, width = (size, size) if isinstance(size, int) else size
    channels = getattr(config, "num_channels", 3)
    shape = (ROWS, channels, height, width)
    return {"pixel_values": _normal(shape)}


def _spectrograms(model: Any) -> dict[str, Array]:
    config = model.config
    if not hasattr(config, "num_mel_bins") or not hasattr(config, "max_source_positions"):
        raise SampleError(
            f"no spectrogram can be generated for {type(model).__name__}.",
            remedy="give one: onnxpack.export(model, {'input_features': features}, ...)",
        )
    return {"input_features": _normal((ROWS, config.num_mel_bins, 2 * config.max_source_positions))}


def _audio(_model: Any) -> dict[str, Array]:
    return {"input_values": _normal((ROWS, AUDIO_SAMPLES))}


def _normal(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def text_config(model: Any) -> Any:
    """Return the config of the model's text part, or of the whole model."""
    return model.config.get_text_config()
