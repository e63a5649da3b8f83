"""Packs, and one cache for all tests of images: Debian and the wheels are fetched once."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from tests.image.small import make_stand_ins, use_stand_ins

import onnxpack
from onnxpack.image.build import Built, Recipe, build_image
from onnxpack.image.cache import Cache
from onnxpack.image.cache.cache import FORMAT
from onnxpack.image.runtime import bytecode, layer, wheels
from onnxpack.oci.platform import Platform


@pytest.fixture(scope="session")
def cache(cache_home) -> Cache:
    return Cache(cache_home / "onnxpack" / FORMAT)


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


@pytest.fixture
def stand_ins(tmp_path, monkeypatch) -> Path:
    """Let this test build with programs that stand in for mmdebstrap and uv."""
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(wheels, "_uv", None)
    monkeypatch.setattr(layer, "own_files", None)
    for module in (layer, bytecode):
        monkeypatch.setattr(module, "find_interpreter", None)
    folder = make_stand_ins(tmp_path / "stand-ins")
    use_stand_ins(folder)
    return folder


@pytest.fixture(scope="session")
def slim_archive(tmp_path_factory) -> Path:
    """A stand-in for ``python:3.11-slim``, which no registry gives here."""
    archive = tmp_path_factory.mktemp("slim") / "slim.tar"
    managed = 'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
    packages = "--include=python3,python3-pip,ca-certificates"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", packages, f"--customize-hook={managed}",
         "bookworm", archive],
        check=True,
    )  # fmt: skip
    return archive


@pytest.fixture(scope="session")
def slim(docker, slim_archive):
    """The stand-in in the engine, by a name that says so."""
    name = "onnxpack-test/stand-in:3.11-slim"
    docker("import", slim_archive, name)
    yield name
    docker("rmi", "--force", name)


@pytest.fixture(scope="session")
def free_port():
    def find():
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return listener.getsockname()[1]

    return find
