"""The witnesses are tried before PyTorch releases that no test has seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.watch import selftest
from onnxpack.exporters.torch.watch.unseen import Unseen


@pytest.fixture(autouse=True)
def _tried_anew() -> Iterator[None]:
    selftest.blind_witnesses.cache_clear()
    yield
    selftest.blind_witnesses.cache_clear()


def test_every_witness_sees() -> None:
    assert selftest.blind_witnesses() == ()


def test_an_unknown_release_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", "9.0.1")
    selftest.check_witnesses()


def test_a_blind_witness_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def blind() -> Iterator[Unseen]:
        yield Unseen()

    monkeypatch.setattr(torch, "__version__", "9.0.1")
    monkeypatch.setattr(selftest, "watch_unseen", blind)
    monkeypatch.setattr(selftest, "find_conversions", lambda run: ())
    with pytest.raises(ExportError, match=r"torch 9.0.1 .* values, questions about the tracer"):
        selftest.check_witnesses()
