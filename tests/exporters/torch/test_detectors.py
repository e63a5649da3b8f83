"""torchvision's detectors, with a few boxes, with none, and without a way to be sure."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection._utils import BoxCoder

import onnxpack
from onnxpack.errors import UsageError
from onnxpack.exporters.torch.causes import UNSURE, diagnose
from onnxpack.exporters.torch.patch.detectors import (
    boxes_may_lack,
    has_no_order,
    listed_pictures,
)
from onnxpack.pack.manifest import decode as read_manifest
from onnxpack.pack.manifest import encode
from onnxpack.parity.subject import Attempt


class Decodes(nn.Module):
    """The boxes above a threshold, decoded as in a region of interest head."""

    def __init__(self) -> None:
        super().__init__()
        self.coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.head = nn.Linear(4, 8)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        corner = x[:, :2].sigmoid() * 10
        proposals = torch.cat([corner, corner + 1 + x[:, 2:].sigmoid() * 20], 1)[x[:, 0] > 0]
        codes = self.head(proposals)
        decoded = self.coder.decode(codes, [proposals])
        return {"boxes": decoded.reshape(-1, 4), "scores": codes.reshape(-1, 4)[:, 0]}


def test_no_box_at_all_is_an_answer_too(check: Any) -> None:
    def rows(n: int) -> Tensor:
        table = torch.randn(n, 4)
        table[:, 0] = table[:, 0].abs()
        return table

    check.proven(Decodes, rows, size=3, factors=(1.0, -1.0))


def test_the_decoder_is_put_back() -> None:
    plain = BoxCoder.decode
    with boxes_may_lack():
        assert BoxCoder.decode is not plain
    assert BoxCoder.decode is plain


def test_other_boxes_than_the_models_have_a_cause_of_their_own() -> None:
    output = SimpleNamespace(output="boxes", passed=False, max_abs=85.0)
    case: Any = SimpleNamespace(name="sample", outputs=(output,), passed=False)
    attempts = [
        Attempt("trace", evidence=(case,)),
        Attempt("dynamo", error="depends on a tensor's values"),
    ]
    assert diagnose(nn.Linear(4, 3), attempts, lambda: None) is UNSURE


class Detects(FCOS):
    """A detector of the user's own, made after torchvision's."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


class Tracks(Detects):
    """It numbers what it finds, so its rows have an order."""

    def forward(self, images: Any, targets: Any = None) -> Any:
        return super().forward(images, targets)


class Rolled(nn.Module):
    """What it calls boxes and scores is its input in another order."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = torch.roll(x, x.shape[0] // 3, 0)
        return {"boxes": y, "scores": y[:, 0]}


class Sorted(nn.Module):
    """It finds as many rows as there are, in the order of one number of each."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        order = torch.argsort(x[:, 0].round(), descending=True)
        return {"boxes": x[order], "scores": x[order, 1]}


def test_only_torchvisions_own_forward_gives_rows_without_an_order() -> None:
    assert has_no_order(Detects())
    assert not has_no_order(Tracks())
    replaced: Any = Detects()
    replaced.forward = lambda images: images
    assert not has_no_order(replaced)
    assert not has_no_order(Rolled())


@pytest.mark.parametrize("named", [(), ("boxes", "scores")])
def test_a_track_in_another_row_is_seen(tmp_path: Path, named: tuple[str, ...]) -> None:
    """Names do not make rows a set; the user can say that they are one."""
    torch.manual_seed(0)
    sample = torch.randn(4, 4)
    if not named:
        pack = onnxpack.export(Rolled(), sample, tmp_path / "pack")  # rolled by the graph as well
        assert pack.unordered == ()
        return
    pack = onnxpack.export(Rolled(), sample, tmp_path / "pack", unordered=named)
    assert pack.unordered == (("boxes", "scores"),)
    assert pack.manifest is not None
    assert read_manifest(encode(pack.manifest)).parity.unordered == pack.unordered
    assert onnxpack.Model(pack).prove().ok


@pytest.mark.parametrize(
    ("unordered", "message"),
    [(("boxs",), "which is not an output"), (("boxes", "boxes"), "twice")],
)
def test_rows_of_what_is_no_output(
    tmp_path: Path, unordered: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        onnxpack.export(Sorted(), torch.randn(4, 4), tmp_path / "pack", unordered=unordered)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sample", [torch.zeros(3, 4, 5), np.zeros((1, 3, 4, 5), np.float32)])
def test_a_detector_takes_a_list_of_pictures(sample: Any) -> None:
    (picture,) = listed_pictures(Detects(), sample)
    assert picture.shape == (3, 4, 5)


def test_what_is_no_picture_or_no_detector_is_left() -> None:
    sample = torch.zeros(3, 4, 5)
    assert listed_pictures(nn.Linear(5, 1), sample) is sample
    assert listed_pictures(Detects(), pictures := [sample]) is pictures
