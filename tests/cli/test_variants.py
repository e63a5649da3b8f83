"""Packs with variants on the command line: run, check, inspect, image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

Run = Callable[..., Any]


def scaled(pack: Any, factor: float) -> onnx.ModelProto:
    """The pack's graph with weights that are larger by a factor."""
    graph = onnx.load(pack.model_path)
    (weight,) = graph.graph.initializer
    array = onnx.numpy_helper.to_array(weight) * np.float32(factor)
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    return graph


@pytest.fixture
def rows() -> np.ndarray:
    return np.array([[1, 2], [3, -4], [-1, 0.5]], np.float32)


@pytest.fixture
def varied(pack: Any, add_variant: Any, rows: np.ndarray) -> Any:
    """``small`` loses 1 %, and ``wrong`` is faster and loses 12 %."""
    small = scaled(pack, 1.01)
    pack = add_variant(pack, "small", small, rows=rows, ratio=1.5)
    return add_variant(pack, "wrong", scaled(pack, 1.12), rows=rows, ratio=3.0, recorded=small)


def test_run_tells_which_graph_answered(onnxpack: Run, varied: Any) -> None:
    told = onnxpack("run", varied.path, "--input", "random", "--json")
    assert told.code == 0
    assert told.err.startswith("note: variant 'wrong' is not used here")
    assert (told.json["variant"], told.json["runtime"]) == ("small", "onnxruntime")
    assert len(told.json["notes"]) == 1
    told = onnxpack("run", varied.path, "--input", "random", "--json", "--variant", "base")
    assert (told.json["variant"], told.json["notes"], told.err) == (None, [], "")


def test_run_refuses_a_variant_that_does_not_replay(onnxpack: Run, varied: Any) -> None:
    told = onnxpack("run", varied.path, "--input", "random", "--variant", "wrong")
    assert told.code == 3
    assert "its distance from the original's answer is 0.12, expected at most 0.015" in told.err
    told = onnxpack("run", varied.path, "--input", "random", "--variant", "smal")
    assert told.code == 2
    assert "Did you mean 'small'?" in told.err


def test_check_replays_every_variant(onnxpack: Run, varied: Any) -> None:
    told = onnxpack("check", varied.path, "--json")
    assert told.code == 0
    levels = {finding["subject"]: finding["level"] for finding in told.json["findings"]}
    assert levels["cpu: test_data_set_0/scores"] == "ok"
    assert levels["variant small: test_data_set_0/scores"] == "ok"
    assert levels["variant wrong"] == "warning"
    assert levels["variants/wrong"] == "ok"


def test_check_replays_what_it_is_told(onnxpack: Run, varied: Any) -> None:
    def subjects(*options: str) -> tuple[int, set[str]]:
        told = onnxpack("check", varied.path, "--json", *options)
        found = {finding["subject"] for finding in told.json["findings"]}
        return told.code, {each for each in found if "test_data" in each or "variant " in each}

    assert subjects("--variant", "base") == (0, {"cpu: test_data_set_0/scores"})
    assert subjects("--variant", "small") == (0, {"variant small: test_data_set_0/scores"})
    assert subjects("--variant", "wrong") == (1, {"variant wrong"})
    assert onnxpack("check", varied.path, "--variant", "none").code == 2


def test_check_tells_that_openvino_is_not_here(
    onnxpack: Run, pack: Any, add_variant: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_variant(pack, "ov", scaled(pack, 1.0), runtime="openvino", precision="f32")
    # Variants are replayed in a child process, which imports from where this one does.
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "openvino.py").write_text("raise ImportError('it is not installed')")
    monkeypatch.syspath_prepend(tmp_path / "here")
    told = onnxpack("check", pack.path)
    assert told.code == 0
    assert "pip install 'onnxpack[openvino]'" in told.out


def test_inspect_shows_variants_and_measurements(onnxpack: Run, varied: Any) -> None:
    from onnxpack.pack.amend import amend_pack

    speed = varied.manifest.variants["small"].speed
    manifest = msgspec.structs.replace(varied.manifest, measurements=(speed,))
    amend_pack(varied, varied.path, manifest, force=True)
    told = onnxpack("inspect", varied.path)
    assert told.code == 0
    for words in (
        "small",
        "quantize(weights=int8)",
        "agreement 99.00%, at least 98.00% (99 rows)",
        "1.50",
        "onnxruntime 1, 1 thread, Another Processor (avx512_vnni)",
        "speed at 1 thread, cpu on Another Processor",
        "2 ms",
    ):
        assert words in told.out, words
    document = onnxpack("inspect", varied.path, "--json").json
    assert document["variants"] == ["small", "wrong"]
    assert document["manifest"]["variants"]["small"]["kept"]["lower"] == 0.98
    assert document["manifest"]["measurements"][0]["timings"][1]["ratio"] == 1.5
    card = (varied.path / "README.md").read_text()
    assert "## Variants" in card
    assert "| `small` | quantize(weights=int8) |" in card
    assert "## Speed" in card


def test_an_image_takes_variants(pack: Any, varied: Any, add_variant: Any) -> None:
    from onnxpack.errors import UsageError
    from onnxpack.image.build import shipped, with_variants

    def folders(pack: Any) -> set[str]:
        names = [Path(name).parts for name, _ in shipped(pack)]
        return {parts[1] for parts in names if parts[0] == "variants"}

    full = add_variant(varied, "ov", scaled(pack, 1.0), runtime="openvino", precision="f32")
    assert folders(full) == folders(with_variants(full)) == {"small", "wrong"}
    assert folders(with_variants(full, ["small"])) == {"small"}
    assert folders(with_variants(full, [])) == set()
    with pytest.raises(UsageError, match="runs on openvino, but images contain only onnxruntime"):
        with_variants(full, ["ov"])
    with pytest.raises(UsageError, match="has no variant 'none'; variants: ov, small, wrong"):
        with_variants(full, ["none"])


def test_a_pack_as_an_image_holds_it_is_served(varied: Any, tmp_path: Path) -> None:
    """Without the variants that were left out, though the manifest names them."""
    import shutil

    from onnxpack.image.build import shipped, with_variants
    from onnxpack.pack.read import open_pack
    from onnxpack.server.models.intact import find_faults

    for name, source in shipped(with_variants(varied, ["small"])):
        place = tmp_path / "model" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
    opened = open_pack(tmp_path / "model")
    assert list(opened.variants) == ["small"]
    assert find_faults(opened) == ()
    (opened.path / "variants/small/test_data_set_0/input_0.pb").write_bytes(b"altered")
    assert len(find_faults(opened)) == 1


def test_image_ships_the_variants_that_are_named(
    onnxpack: Run, varied: Any, add_variant: Any, tmp_path: Path
) -> None:
    full = add_variant(varied, "ov", scaled(varied, 1.0), runtime="openvino", precision="f32")

    def folders(*options: str) -> tuple[set[str], str]:
        told = onnxpack(
            "image", full.path, "--dockerfile", tmp_path / "context", "--force", *options
        )
        assert told.code == 0, told.err
        place = tmp_path / "context/model/pets/variants"
        return {path.name for path in place.iterdir()} if place.exists() else set(), told.err

    found, err = folders()
    assert found == {"small", "wrong"}
    assert "left out, because images contain only onnxruntime: variant ov" in err
    assert folders("--variant", "small") == ({"small"}, "")
    assert folders("--variant", "base") == (set(), "")
    told = onnxpack("image", full.path, "--dockerfile", tmp_path / "other", "--variant", "ov")
    assert told.code == 2
    assert "images contain only onnxruntime" in told.err
    assert not (tmp_path / "other").exists()
