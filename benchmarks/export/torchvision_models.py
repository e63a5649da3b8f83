"""Every model of ``torchvision.models.list_models()``, with random weights and a fixed seed."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from case import Case, Given
from torchvision import models
from torchvision.ops import FrozenBatchNorm2d

DETECTORS = ("fasterrcnn", "fcos", "keypointrcnn", "maskrcnn", "retinanet", "ssd")
INT8 = "quantized_"
VIDEOS = {
    "mc3": (3, 8, 56, 56),
    "mvit": (3, 16, 224, 224),
    "r2plus1d": (3, 8, 56, 56),
    "r3d": (3, 8, 56, 56),
    "s3d": (3, 16, 224, 224),
    "swin3d": (3, 8, 64, 64),
}
PICTURES = {"inception": 96, "maxvit": 224, "quantized_inception": 96, "vit": 224}
"""The sides of pictures, where a model does not take 64."""

PIXELS = 0.1
"""A box that is further off in float64 is another box."""


def cases() -> Iterator[Case]:
    for name in models.list_models():
        kind = "int8" if name.startswith(INT8) else "float"
        yield Case(f"{kind}/{name}", partial(_given, name))


def _given(name: str) -> Given:
    torch.manual_seed(0)
    if name.startswith(DETECTORS):
        return _detector(name)
    model = _model(name)
    shapes = _shapes(name)
    checks = [_check(model, shapes, batch, seed) for seed, batch in enumerate((2, 1, 4), 10)]
    sample = tuple(torch.from_numpy(array) for array in _pictures(shapes, 1, seed=1))
    return Given(model, sample, checks)


def _detector(name: str) -> Given:
    """A detector finds a few things with random weights where its threshold is low.

    Of many, whose scores are all but equal, float32 itself could not tell which are best.
    """
    model = _settled(_model(name, **_few(name)))
    precise = copy.deepcopy(model).double()
    given = [_pictures([(3, 96, 128)], None, seed=seed)[0] for seed in range(9)]
    steady = (array for array in given[1:] if _finds_the_same(model, precise, array))
    checks = [((array,), _found(model, array)) for array in islice(steady, 2)]
    return Given(model, torch.from_numpy(given[0]), checks)


def _found(model: Any, picture: Any) -> list[Any]:
    return _answers(model, [torch.from_numpy(picture)])


def _finds_the_same(model: Any, precise: Any, picture: Any) -> bool:
    """Whether the model finds the same boxes in float64: else rounding decides which it finds."""
    boxes, better = _found(model, picture)[0], _found(precise, picture.astype(np.float64))[0]
    if len(boxes) != len(better):
        return False
    nearest = np.abs(boxes[:, None] - better[None]).max(-1).min(1, initial=np.inf)
    return bool((nearest < PIXELS).all())


def _few(name: str) -> dict[str, Any]:
    sizes = {} if name.startswith("ssd") else {"min_size": 96, "max_size": 160}
    if "rcnn" not in name:
        few = {"topk_candidates": 40, "detections_per_img": 10, "score_thresh": 0.011}
        return sizes | few
    return sizes | {
        "box_detections_per_img": 10,
        "rpn_post_nms_top_n_test": 20,
        "rpn_pre_nms_top_n_test": 40,
        "rpn_score_thresh": 0.0,
    }


def _settled(model: Any) -> Any:
    """Give every norm its statistics: else random features die away, and all scores tie."""
    norms = (torch.nn.BatchNorm2d, FrozenBatchNorm2d)
    layers = [part for part in model.modules() if isinstance(part, norms)]
    handles = [layer.register_forward_pre_hook(_learn) for layer in layers]
    with torch.no_grad():
        model.backbone(torch.randn(2, 3, 320, 320) * torch.tensor([1.0, 6.0]).reshape(2, 1, 1, 1))
        for name, weight in model.named_parameters():
            if name.endswith("box_predictor.cls_score.weight"):
                weight.mul_(10)
    for handle in handles:
        handle.remove()
    return model


def _learn(layer: Any, args: tuple[torch.Tensor, ...]) -> None:
    spread = args[0].var((0, 2, 3))
    layer.running_mean.copy_(args[0].mean((0, 2, 3)))
    layer.running_var.copy_(spread + spread.mean() / 10)


def _model(name: str, **options: Any) -> Any:
    builder = models.get_model_builder(name)
    known = inspect.signature(builder).parameters
    if "weights_backbone" in known:
        options["weights_backbone"] = None
    if name.startswith(INT8):
        options["quantize"] = True
    if "init_weights" in known or name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    return models.get_model(name, weights=None, **options).eval()


def _shapes(name: str) -> list[tuple[int, ...]]:
    """The shape of each input, without its batch."""
    for start, shape in VIDEOS.items():
        if name.startswith(start):
            return [shape]
    if name.startswith("raft"):
        return [(3, 128, 136), (3, 128, 136)]
    side = next((size for start, size in PICTURES.items() if name.startswith(start)), 64)
    return [(3, side, side)]


def _pictures(shapes: Sequence[tuple[int, ...]], batch: int | None, seed: int) -> list[Any]:
    random = np.random.default_rng(seed)
    first = () if batch is None else (batch,)
    return [random.random((*first, *shape), dtype=np.float32) for shape in shapes]


def _check(
    model: Any, shapes: Sequence[tuple[int, ...]], batch: int, seed: int
) -> tuple[tuple[Any, ...], list[Any]]:
    arrays = tuple(_pictures(shapes, batch, seed))
    return arrays, _answers(model, *map(torch.from_numpy, arrays))


def _answers(model: Any, *args: Any) -> list[Any]:
    with torch.no_grad():
        return list(_leaves(model(*args)))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value.numpy()
    else:
        for child in value.values() if isinstance(value, dict) else value:
            yield from _leaves(child)
