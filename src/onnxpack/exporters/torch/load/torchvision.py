"""Load ``torchvision:NAME[@WEIGHTS]``, a model of torchvision's registry."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.loaded import LoadedTarget
from onnxpack.pack.manifest import Preprocess


def load(text: str) -> LoadedTarget:
    """Load a model by name; ``@DEFAULT`` adds pretrained weights, labels and preprocessing.

    Raises:
        TargetError: the model or the weights do not exist, or cannot be downloaded.
        MissingExtraError: torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as exc:
        raise MissingExtraError("torchvision", extra="vision") from exc
    name, _, wanted = text.partition("@")
    if name not in models.list_models():
        close = difflib.get_close_matches(name, models.list_models(), n=3)
        raise TargetError(
            f"torchvision has no model {name!r}"
            + (f"; similar names: {', '.join(close)}." if close else "."),
            remedy="python -c 'import torchvision; print(*torchvision.models.list_models())'",
        )
    return _pretrained(models, name, wanted) if wanted else _random(models, name)


def _random(models: Any, name: str) -> LoadedTarget:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        builder = models.get_model_builder(name)
        backbone = {"weights_backbone": None} if _has_backbone(builder) else {}
        model = models.get_model(name, weights=None, **backbone)
    note = f"{name} has random weights; for trained ones: torchvision:{name}@DEFAULT"
    return LoadedTarget(model, name, notes=(note,))


def _pretrained(models: Any, name: str, wanted: str) -> LoadedTarget:
    choices = models.get_model_weights(name)
    if wanted not in choices.__members__:
        raise TargetError(
            f"{name} has no weights {wanted!r}; it has: {', '.join(choices.__members__)}."
        )
    weights = choices[wanted]
    try:
        model = models.get_model(name, weights=weights)
    except Exception as exc:
        raise TargetError(
            f"the weights {wanted} of {name} cannot be loaded: {exc}.",
            remedy=f"for random weights: torchvision:{name}",
        ) from exc
    labels = weights.meta.get("categories")
    return LoadedTarget(
        model, name, tuple(labels) if labels else None, _preprocess(weights.transforms())
    )


def _preprocess(transforms: Any) -> Preprocess | None:
    """Return the preprocessing of torchvision's classification presets; None for others."""
    if type(transforms).__name__ != "ImageClassification":
        return None
    height, width = (*transforms.crop_size, *transforms.crop_size)[:2]
    return Preprocess(
        resize=transforms.resize_size[0],
        crop=(height, width),
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def _has_backbone(builder: Any) -> bool:
    return "weights_backbone" in inspect.signature(builder).parameters
