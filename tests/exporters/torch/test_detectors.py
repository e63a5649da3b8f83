"""torchvision's detectors, with a few boxes, with none, and without a way to be sure."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection._utils import BoxCoder

from onnxpack.exporters.torch.causes import UNSURE, diagnose
from onnxpack.exporters.torch.patch.detectors import boxes_may_lack, listed_pictures
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
    attempts = [Attempt("trace", evidence=(case,)), Attempt("dynamo", error="values decide")]
    assert diagnose(nn.Linear(4, 3), attempts, lambda: None) is UNSURE


class Detects(FCOS):
    """A detector of the user's own, made after torchvision's."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


@pytest.mark.parametrize("sample", [torch.zeros(3, 4, 5), np.zeros((1, 3, 4, 5), np.float32)])
def test_a_detector_takes_a_list_of_pictures(sample: Any) -> None:
    (picture,) = listed_pictures(Detects(), sample)
    assert picture.shape == (3, 4, 5)


def test_what_is_no_picture_or_no_detector_is_left() -> None:
    sample = torch.zeros(3, 4, 5)
    assert listed_pictures(nn.Linear(5, 1), sample) is sample
    assert listed_pictures(Detects(), pictures := [sample]) is pictures
