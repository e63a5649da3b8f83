"""Embedding bags with offsets, as recommenders and text classifiers use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import onnxpack
from onnxpack.exporters.torch.patch.bags import bags_checked

EMPTY = {
    "ids": [3, 1, 4, 1, 5, 9, 2], "offsets": [0, 0, 2, 2, 6], "weights": [1, 2, -3, 4, 5, 6, 0.5],
}  # fmt: skip


class Bag(nn.Module):
    """A bag of embeddings, which may weigh them."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(50, 4, **options)

    def forward(
        self, ids: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        found: torch.Tensor = self.bag(ids, offsets, per_sample_weights=weights)
        return found


@pytest.mark.parametrize(
    "options",
    [
        {"mode": mode, "include_last_offset": has_end, "padding_idx": padding}
        for mode in ("sum", "mean", "max")
        for has_end, padding in ((False, None), (True, None), (False, 1))
    ]
    + [{"mode": "sum", "weighted": True}],
)
def test_bags_are_answered_also_if_empty(tmp_path: Path, options: dict[str, Any]) -> None:
    weighted = options.pop("weighted", False)
    torch.manual_seed(0)
    model = Bag(**options).eval()
    has_end = options.get("include_last_offset", False)
    sample = {
        "ids": torch.randint(0, 50, (7,)),
        "offsets": torch.tensor([0, 3, 7 - 2 * (not has_end)]),
    }
    axes = {"ids": {0: "n"}, "offsets": {0: "bags"}}
    if weighted:
        sample["weights"], axes["weights"] = torch.rand(7), {0: "n"}
    pack = onnxpack.export(model, sample, tmp_path / "pack", dynamic=axes)
    feeds = {
        name: np.array(EMPTY[name] + [7] * (has_end and name == "offsets")).astype(
            each.numpy().dtype
        )
        for name, each in sample.items()
    }
    expected = model(**{name: torch.from_numpy(each) for name, each in feeds.items()})
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, feeds)[0], expected.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("offsets", "has_end"),
    [([1, 2], False), ([0, 3, 2], False), ([0, 8], False), ([0, 5], True), ([0], True)],
)
def test_offsets_that_would_read_foreign_memory_are_refused(
    offsets: list[int], has_end: bool
) -> None:
    model = Bag(mode="max", include_last_offset=has_end)
    with bags_checked(), pytest.raises(IndexError, match="must ascend from 0"):
        model(torch.arange(7), torch.tensor(offsets))
