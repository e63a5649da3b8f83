"""Variants behind the server: the one that answers is told, and so is one that does not."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import onnx
import pytest

from onnxpack.errors import ProviderError
from onnxpack.pack.read import open_pack
from onnxpack.server import __main__ as main_module
from onnxpack.server.models.describe import describe_model, describe_state
from onnxpack.server.models.repository import Repository
from onnxpack.server.ready import Ready, ReadyModel
from onnxpack.server.settings import Settings

ROWS = np.random.default_rng(4).standard_normal((8, 64)).astype(np.float32)


def scaled(pack, factor):
    """The pack's graph with every answer larger by a factor."""
    graph = onnx.load(pack.model_path)
    output = graph.graph.output[0].name
    for node in graph.graph.node:
        node.output[:] = [f"{output}_plain" if name == output else name for name in node.output]
    constant = onnx.numpy_helper.from_array(np.array(factor, np.float32), "variant_factor")
    graph.graph.initializer.append(constant)
    mul = onnx.helper.make_node("Mul", [f"{output}_plain", "variant_factor"], [output])
    graph.graph.node.append(mul)
    return graph


@pytest.fixture
def varied(packs, tmp_path, add_variant):
    """``mlp`` with a right variant, and a faster one that is 12 % off."""
    pack = open_pack(shutil.copytree(packs / "mlp", tmp_path / "mlp"))
    (spec,) = pack.manifest.signature.inputs
    rows = ROWS[:, : spec.shape[1]]
    small = scaled(pack, 1.01)
    pack = add_variant(pack, "small", small, rows=rows, ratio=1.5)
    return add_variant(pack, "wrong", scaled(pack, 1.12), rows=rows, ratio=3.0, recorded=small)


def opened(pack, **settings):
    repository = Repository()
    repository.open([pack], Settings(**settings))
    repository.close()
    (served,) = repository
    return served


def test_the_model_tells_its_variant(varied):
    served = opened(varied, sessions=2)
    assert [model.variant for model in served.models] == ["small", "small"]
    assert served.proven
    assert describe_model(served, ["1"])["parameters"]["variant"] == "small"
    assert describe_state(served)["variant"] == "small"
    (note,) = served.model.notes
    assert note.startswith("variant 'wrong' is not used here")


def test_a_variant_is_chosen_by_name(varied):
    served = opened(varied, variant="base")
    assert describe_model(served, ["1"])["parameters"]["variant"] == "base"
    assert served.proven
    with pytest.raises(ProviderError, match="variant 'wrong' answers differently here"):
        opened(varied, variant="wrong")


def test_openvino_serves(packs, tmp_path, add_variant):
    pytest.importorskip("openvino")
    pack = open_pack(shutil.copytree(packs / "mlp", tmp_path / "mlp"))
    pack = add_variant(pack, "ov", scaled(pack, 1.0), runtime="openvino", precision="f32")
    served = opened(pack)
    assert describe_model(served, ["1"])["platform"] == "openvino_onnx"
    assert served.proven


def test_notes_are_logged_at_the_start(varied, capsys, monkeypatch):
    """In an image, where there is no command line."""
    from onnxpack.server import run

    def serve(packs, settings, *, announce):
        assert settings.variant == "auto"
        served = opened(open_pack(packs[0]), variant=settings.variant)
        ready = ReadyModel(
            served.name,
            served.version,
            "cpu",
            unchanged=True,
            proven=True,
            trusted=False,
            signature=served.signature,
            variant="small",
            notes=served.model.notes,
        )
        announce(Ready("http://here", (ready,)))

    monkeypatch.setattr(run, "serve", serve)
    assert main_module.main([str(varied.path)]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"note: mlp {varied.manifest.version}: variant 'wrong' is not used")
    assert second.endswith("on cpu, variant small")
    assert "onnxpack.server.run" in sys.modules
