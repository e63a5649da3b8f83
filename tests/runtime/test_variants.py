"""Which graph of a pack answers: the fastest that is shown to be right on this machine."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest

from onnxpack.errors import PackError, ProviderError, UsageError
from onnxpack.pack import manifest as manifests
from onnxpack.pack.read import open_pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.pack.validate import validate
from onnxpack.runtime import replay, variants
from onnxpack.runtime.catalog import CPU
from onnxpack.runtime.choose import Opened
from onnxpack.runtime.model import Model
from onnxpack.runtime.session import open_session


@pytest.fixture
def int8_pack(network, network_pack, add_variant, rows, tmp_path):
    """The pack with a right variant in int8."""
    return add_variant(network_pack, "int8", network.int8(tmp_path), rows=rows(32))


def test_a_right_int8_variant_answers(int8_pack, network, rows):
    assert validate(int8_pack).ok
    model = Model(int8_pack, provider="cpu")
    assert (model.variant, model.runtime, model.notes) == ("int8", "onnxruntime", ())
    assert "int8" in repr(model)
    x = rows(5)
    lost = np.linalg.norm(model(x) - network.answer(x)) / np.linalg.norm(network.answer(x))
    assert 1e-4 < lost < 0.05
    report = model.prove()
    assert report.ok
    (finding,) = report.findings
    assert finding.subject == "test_data_set_0/y"
    assert "labels the same" in finding.message


def test_the_base_answers_where_it_is_named(int8_pack, network, rows):
    model = Model(int8_pack, variant="base")
    assert (model.variant, model.notes) == (None, ())
    np.testing.assert_allclose(model(rows(5)), network.answer(rows(5)), rtol=1e-4, atol=1e-5)
    assert {each.subject for each in model.prove().findings} == {
        "test_data_set_0/y",
        "test_data_set_1/y",
    }


def test_a_variant_alone_is_loaded(int8_pack, monkeypatch):
    """Weights in memory twice would cost what a variant saves."""
    opened = []

    def open_and_tell(graph, *args, **options):
        opened.append(Path(graph).read_bytes())
        return open_session(graph, *args, **options)

    monkeypatch.setattr("onnxpack.runtime.choose.open_session", open_and_tell)
    assert Model(int8_pack, provider="cpu").variant == "int8"
    assert opened == [int8_pack.variants["int8"].model_path.read_bytes()]


@pytest.mark.parametrize("scale", [1.12, 0.88, -1.0, 0.0])
def test_a_wrong_variant_never_answers(network, network_pack, add_variant, rows, scale):
    """12 % is what saturation costs: the manifest records a distance of 1 %."""
    right, wrong = network.graph(scale=1.01), network.graph(scale=scale)
    pack = add_variant(network_pack, "fast", wrong, rows=rows(8), ratio=2.5, recorded=right)
    model = Model(pack, provider="cpu")
    assert model.variant is None
    (note,) = model.notes
    assert note.startswith("variant 'fast' is not used here: test_data_set_0/y: its distance")
    assert "expected at most 0.015: 0.01 was recorded" in note
    assert "2.50 times as fast as the base on Another Processor" in note
    with pytest.raises(ProviderError, match=r"expected at most 0\.015") as caught:
        Model(pack, variant="fast")
    assert "'base'" in caught.value.remedy
    np.testing.assert_allclose(model(rows(3)), network.answer(rows(3)), rtol=1e-4, atol=1e-5)


def test_fewer_labels_are_refused(network, network_pack, add_variant, rows):
    """A shift of one class is small beside the answers, and changes what is largest."""
    pack = add_variant(network_pack, "fast", network.graph(scale=1.1), rows=rows(16))
    entry = pack.manifest.variants["fast"]
    (evidence,) = entry.evidence
    assert (evidence.labels, round(evidence.distance, 3)) == (16, 0.1)
    more = msgspec.structs.replace(evidence, labels=17)
    changed = msgspec.structs.replace(entry, evidence=(more,))
    found = msgspec.structs.replace(pack.manifest, variants={"fast": changed})
    (pack.path / "pack.json").write_bytes(manifests.encode(found))
    (note,) = Model(pack.path).notes
    assert "16 rows have the original's label, expected at least 17" in note


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("own_rows", [True, False])
def test_what_is_not_finite_is_refused(network, network_pack, add_variant, rows, bad, own_rows):
    broken = network.graph(scale=bad)
    own = rows(8) if own_rows else None
    pack = add_variant(network_pack, "fast", broken, rows=own, recorded=network.graph(scale=1.01))
    model = Model(pack, provider="cpu")
    assert model.variant is None
    assert len(model.notes) == 1


def test_an_exact_variant_is_judged_by_the_packs_tolerance(
    network, network_pack, add_variant, rows
):
    right = add_variant(network_pack, "fused", network.graph(scale=1 + 1e-7))
    model = Model(right, provider="cpu")
    assert (model.variant, model.notes) == ("fused", ())
    assert len(model.prove().findings) == 2
    both = add_variant(right, "worse", network.graph(scale=1.01), ratio=3.0)
    model = Model(both, provider="cpu")
    assert model.variant == "fused"
    assert "'worse' is not used here: test_data_set_0/y: 40 of 40 elements differ" in model.notes[0]


def test_the_fastest_that_replays_answers(network, network_pack, add_variant, rows):
    wrong = network.graph(scale=1.2)
    pack = add_variant(network_pack, "slow", network.graph(), ratio=1.5)
    pack = add_variant(pack, "wrong", wrong, ratio=4.0)
    pack = add_variant(pack, "fast", network.graph(), ratio=2.5)
    pack = add_variant(pack, "slower", network.graph(), ratio=0.9)
    pack = add_variant(pack, "unmeasured", network.graph(), ratio=None)
    assert Model(pack, provider="cpu").variant == "fast"
    shutil.rmtree(pack.path / "variants/fast")
    assert Model(pack.path).variant == "slow"
    shutil.rmtree(pack.path / "variants/slow")
    model = Model(pack.path)
    assert model.variant is None
    assert [note[:17] for note in model.notes] == ["variant 'wrong' i"]
    assert Model(pack.path, variant="slower").variant == "slower"


def test_golden_data_is_read_once(network, network_pack, add_variant, monkeypatch):
    pack = network_pack
    for number in range(3):
        wrong = network.graph(scale=1.1)
        pack = add_variant(pack, f"wrong-{number}", wrong, ratio=2.0 + number)
    read = []

    def read_and_tell(path):
        read.append(path)
        return read_tensor(path)

    monkeypatch.setattr(replay, "read_tensor", read_and_tell)
    assert len(Model(pack, provider="cpu").notes) == 3
    assert len(read) == len(set(read)) == 2


def test_a_pack_without_golden_data_cannot_judge(network, network_pack, add_variant):
    pack = add_variant(network_pack, "fused", network.graph())
    for number in range(2):
        shutil.rmtree(pack.path / f"test_data_set_{number}")
    model = Model(pack.path)
    assert model.variant is None
    assert "no golden data to check it with" in model.notes[0]


@pytest.mark.parametrize("made", ["other output", "other width", "no graph", "unknown operator"])
def test_a_graph_that_cannot_take_the_place_is_refused(
    network, network_pack, add_variant, rows, made
):
    if made == "other output":
        graph = network.graph(output="z")
    elif made == "other width":
        graph = type(network)(network.first[:32], network.second).graph(width=32)
    else:
        graph = network.graph()
        graph.graph.node[1].op_type = "Nothing"
    pack = add_variant(network_pack, "fast", graph)
    if made == "no graph":
        (pack.path / "variants/fast/model.onnx").write_bytes(b"\x08\x08")
    model = Model(open_pack(pack.path), provider="cpu")
    assert model.variant is None
    assert len(model.notes) == 1
    with pytest.raises((PackError, ProviderError)):
        Model(pack.path, variant="fast")


def test_golden_data_of_another_shape_is_refused(int8_pack):
    """Nothing is handed to a runtime that the signature does not allow."""
    golden = int8_pack.path / "variants/int8/test_data_set_0"
    shutil.copy(golden / "output_0.pb", golden / "input_0.pb")
    model = Model(int8_pack.path)
    assert model.variant is None
    assert "expected" in model.notes[0]


def test_evidence_that_is_not_there_proves_nothing(int8_pack):
    shutil.rmtree(int8_pack.path / "variants/int8/test_data_set_0")
    model = Model(int8_pack.path)
    assert model.variant is None
    assert "names it as evidence, but it is not in the variant's folder" in model.notes[0]
    with pytest.raises(ProviderError):
        Model(int8_pack.path, variant="int8")


def test_a_variant_of_another_graph_is_refused(int8_pack):
    """A pack that was exported again, with the variants of before."""
    entry = msgspec.structs.replace(int8_pack.manifest.variants["int8"], base="0" * 64)
    changed = msgspec.structs.replace(int8_pack.manifest, variants={"int8": entry})
    (int8_pack.path / "pack.json").write_bytes(manifests.encode(changed))
    model = Model(int8_pack.path)
    assert model.variant is None
    assert "was made from another model.onnx" in model.notes[0]


def test_names(int8_pack, network_pack, graphs):
    with pytest.raises(UsageError, match=r"has no variant 'int9'.*Did you mean 'int8'\?"):
        Model(int8_pack, variant="int9")
    with pytest.raises(UsageError, match="expected one of: auto, base"):
        Model(graphs.double(), variant="int8")
    shutil.rmtree(int8_pack.path / "variants")
    with pytest.raises(PackError, match="its files are missing"):
        Model(int8_pack.path, variant="int8")
    assert Model(int8_pack.path).notes == ()


def test_variants_are_for_the_cpu(int8_pack, monkeypatch):
    """On another provider the base answers, and a note says so."""
    monkeypatch.setattr(variants, "resolve", lambda _: ("CUDAExecutionProvider",))
    with pytest.raises(ProviderError, match="variant 'int8' is for the CPU, but provider 'cuda'"):
        Model(int8_pack, variant="int8", provider="cuda")

    def open_cuda(graph, provider, *, threads):
        assert provider == "cuda"
        session = open_session(graph, [CPU], threads=threads)
        return Opened(session, "CUDAExecutionProvider", {"CUDAExecutionProvider": 1})

    monkeypatch.setattr(variants, "open_on", open_cuda)
    model = Model(int8_pack, provider="cuda")
    assert (model.variant, model.provider) == (None, "cuda")
    assert model.notes == ("variants are for the CPU: the base runs on cuda.",)


def test_threads_share_a_variant(int8_pack, rows):
    model = Model(int8_pack, provider="cpu")
    inputs = [rows(3, seed) for seed in range(8)]
    wanted = [model(x) for x in inputs]
    failures = []

    def ask(x, expected):
        failures.extend(x for _ in range(50) if not np.array_equal(model(x), expected))

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(inputs, wanted, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_openvino_that_is_not_installed_is_named(network, network_pack, add_variant, monkeypatch):
    pack = add_variant(network_pack, "ov", network.graph(), runtime="openvino", precision="f32")
    monkeypatch.setitem(sys.modules, "openvino", None)
    model = Model(pack, provider="cpu")
    assert model.variant is None
    assert "pip install 'onnxpack[openvino]'" in model.notes[0]
    with pytest.raises(ProviderError) as caught:
        Model(pack, variant="ov")
    assert caught.value.remedy == "pip install 'onnxpack[openvino]'"


def test_an_altered_variant_never_answers(network, network_pack, int8_pack):
    """One weight of another value: the rows that replay may all be answered as before."""
    graph = int8_pack.path / "variants/int8/model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    model = Model(open_pack(int8_pack.path))
    assert model.variant is None
    assert any("variants/int8/model.onnx has sha256" in note for note in model.notes)
    with pytest.raises(PackError, match=r"does not match its pack\.json"):
        Model(open_pack(int8_pack.path), variant="int8")
