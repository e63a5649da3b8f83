"""Packs, and one cache for all tests of images: Debian and the wheels are fetched once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import onnxpack
from onnxpack.image.build import Built, Recipe, build_image
from onnxpack.image.cache import Cache
from onnxpack.oci.platform import Platform


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def packs(tmp_path_factory) -> Path:
    """``mlp``, ``other``: the same model with other weights."""
    folder = tmp_path_factory.mktemp("packs")
    for seed, name in enumerate(("mlp", "other")):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        onnxpack.export(model, torch.randn(1, 8), folder / name)
    return folder


@pytest.fixture(scope="session")
def amd64() -> Recipe:
    return Recipe("debian", (Platform("amd64"),))


@pytest.fixture(scope="session")
def built(packs, cache, amd64) -> Built:
    return build_image(onnxpack.open_pack(packs / "mlp"), amd64, cache=cache)
