"""Labels and preprocessing have to fit the model that they are added to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import onnxpack
from onnxpack.errors import UsageError
from onnxpack.exporters.annotations import check_labels, check_preprocess
from onnxpack.pack.manifest import Preprocess
from onnxpack.signature import Signature, TensorSpec

X = TensorSpec("x", "float32", ("batch", 3, 64, 64))


def gives(*outputs: TensorSpec) -> Signature:
    return Signature((X,), outputs)


@pytest.mark.parametrize("count", [3, 42])
def test_another_number_of_labels(tmp_path: Path, count: int) -> None:
    model, sample = nn.Linear(4, 10), torch.randn(2, 4)
    labels = [str(each) for each in range(count)]
    with pytest.raises(UsageError, match=f"{count} labels were given, .* expected 10 labels"):
        onnxpack.export(model, sample, tmp_path / "pack", labels=labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "outputs",
    [
        (TensorSpec("y", "float32", ("batch", 1)),),
        (TensorSpec("y", "float32", ("batch", "classes")),),
        (TensorSpec("y", "float32", ("batch", 2, 8, 8)),),
        (TensorSpec("y", "float32", None),),
        (TensorSpec("boxes", "float32", ("n", 4)), TensorSpec("labels", "int64", ("n",))),
    ],
    ids=["one score", "any number", "segmentation", "unknown", "detector"],
)
def test_where_classes_are_elsewhere(outputs: tuple[TensorSpec, ...]) -> None:
    check_labels(["cat", "dog"], gives(*outputs))


@pytest.mark.parametrize(
    "shape", [("batch", 3, 64, 64), ("batch", 64, 64, 3), ("batch", 1, 64, 64)]
)
def test_pictures_of_another_size(shape: tuple[int | str, ...]) -> None:
    signature = Signature((TensorSpec("x", "float32", shape),), ())
    check_preprocess(Preprocess(crop=(64, 64)), signature)
    check_preprocess(Preprocess(resize=224), signature)
    with pytest.raises(UsageError, match="crops pictures to 224 × 224 pixels") as caught:
        check_preprocess(Preprocess(crop=(224, 224)), signature)
    assert "Preprocess(crop=(64, 64))" in caught.value.remedy
    assert '"crop": [64, 64]' in caught.value.remedy


def test_pictures_of_any_size() -> None:
    any_size = TensorSpec("x", "float32", ("batch", 3, "height", "width"))
    check_preprocess(Preprocess(crop=(224, 224)), Signature((any_size,), ()))


@pytest.mark.parametrize(
    ("labels", "says"),
    [("labels.txt", "labels is 'labels.txt', expected a list"), ([0, 1], r"labels is \[0, 1\]")],
)
def test_labels_that_are_no_names(labels: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_labels(labels, Signature((), ()))


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("recipe.json", "preprocess is a str, expected an onnxpack.Preprocess"),
        (Preprocess(crop=64), "preprocess is invalid: Expected `array | null`"),  # type: ignore[arg-type]
        (Preprocess(std=(0.0, 0.0, 0.0)), "preprocess is invalid: Expected `float` > 0.0"),
    ],
)
def test_recipes_that_are_none(recipe: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_preprocess(recipe, Signature((), ()))
