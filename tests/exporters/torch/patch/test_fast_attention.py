"""Rows that are all padding: no case of the proof has one, since the mask is made inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError

PADDED = torch.tensor([[3, 4, 5, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 3, 4, 5, 6]])


class Words(nn.Module):
    """Embeds tokens; 0 is padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(20, 8, padding_idx=0)


class Positioned(Words):
    """As in DETR: positions are in query and key, not in the value."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        words = self.embedding(ids)
        query = words + torch.arange(ids.shape[1])[:, None] / 8
        return self.attend(query, query, words, key_padding_mask=ids == 0, need_weights=False)[0]


class Alike(Words):
    """Self-attention, which takes the fast path."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        words = self.embedding(ids)
        return self.attend(words, words, words, key_padding_mask=ids == 0, need_weights=False)[0]


class Decoder(Words):
    """Self-attention by the fast path, then attention to other words by the usual one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        words, padding = self.embedding(ids), ids == 0
        later = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        return self.layer(
            words,
            words,
            tgt_mask=later,
            tgt_key_padding_mask=padding,
            memory_key_padding_mask=padding,
        )


class Both(Words):
    """One layer, once by the fast path and once by the usual one."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        words, padding = self.embedding(ids), ids == 0
        own = self.attend(words, words, words, key_padding_mask=padding, need_weights=False)[0]
        return self.attend(own, words, words, key_padding_mask=padding, need_weights=False)[0]


@pytest.mark.parametrize("kind", [Positioned, Alike, Decoder])
def test_each_layer_answers_by_its_own_path(kind: type[nn.Module], tmp_path: Path) -> None:
    model = kind().eval()
    sample = torch.randint(1, 20, (2, 6), generator=torch.manual_seed(0))
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    with torch.no_grad():
        wanted = model(PADDED).numpy()
    found = onnxpack.Model(pack)(PADDED.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_layer_that_takes_both_paths_is_refused(tmp_path: Path) -> None:
    sample = torch.randint(1, 20, (2, 6), generator=torch.manual_seed(0))
    with pytest.raises(ExportError, match="attend answers a row that is all padding in two ways"):
        onnxpack.export(Both().eval(), sample, tmp_path / "pack")
