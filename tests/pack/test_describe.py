"""What is said of variants and their speed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from onnxpack.pack import describe as words
from onnxpack.pack.manifest import Kept, Measurement, Recipe, Step, Timing
from onnxpack.pack.model import Pack


def test_steps_have_their_options() -> None:
    steps = (Step("quantize", {"weights": "int8", "per_channel": True}), Step("fuse", {}))
    assert words.describe_steps(steps) == "quantize(per_channel=True, weights=int8), fuse"


def test_what_is_kept() -> None:
    kept = Kept(measure="agreement", value=0.987, lower=0.979, samples=1000, max_loss=0.02)
    assert words.describe_kept(kept) == "agreement 98.70%, at least 97.90% (1000 rows)"
    exact = msgspec.structs.replace(kept, measure="parity")
    assert words.describe_kept(exact) == "equal within the pack's tolerance"


def test_a_ratio_has_its_interval() -> None:
    timing = Timing(name="pack", seconds=1, quartiles=(1, 1), ratio=2.314, interval=(2.2, 2.4))
    assert words.describe_ratio(timing) == "2.31 (2.20 to 2.40)"
    assert words.describe_ratio(msgspec.structs.replace(timing, interval=None)) == "2.31"
    assert words.describe_ratio(msgspec.structs.replace(timing, ratio=None)) == ""
    assert words.describe_ratio(None) == ""


def test_a_recipe() -> None:
    recipe = Recipe(
        runtime="openvino", runtime_version="2026.4", precision="bf16", threads=1,
        processor="A Processor", features=("amx_bf16", "avx512_bf16"),
    )  # fmt: skip
    assert words.describe_recipe(recipe) == (
        "openvino 2026.4 in bf16, 1 thread, A Processor (amx_bf16, avx512_bf16)"
    )


def test_conditions() -> None:
    found = Measurement(
        dims={"tokens": 128, "batch": 1}, threads=2, provider="cpu", processor="A Processor",
        versions={"onnxruntime": "1.32.0"}, timings=(),
    )  # fmt: skip
    assert words.describe_conditions(found) == (
        "batch = 1, tokens = 128, 2 threads, cpu on A Processor; onnxruntime 1.32.0"
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.00123, "1.23 ms"), (1.5e-5, "15 µs"), (0, "0 µs")]
)
def test_times_have_units(seconds: float, text: str) -> None:
    assert words.describe_seconds(seconds) == text


def test_the_card_shows_variants_and_speed(varied: Pack) -> None:
    card = (varied.path / "README.md").read_text()
    assert "| name | steps | keeps | times as fast | judged with |" in card
    assert "| `exact` | quantize(weights=int8) | equal within the pack's tolerance | 2.00" in card
    assert "## Speed" not in card


def test_the_card_of_a_pack_without_variants_says_nothing_of_them(pack: Any) -> None:
    assert "ariant" not in (pack.path / "README.md").read_text()
