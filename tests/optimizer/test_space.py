"""What is tried, and under which names."""

from __future__ import annotations

import re

import pytest

from onnxpack.errors import UsageError
from onnxpack.optimizer import space
from onnxpack.optimizer.space import PASSES, Plan, check_passes, plans
from onnxpack.pack.manifest import VariantName


def test_names_are_those_of_variants_and_all_differ() -> None:
    found = [plan.name for plan in plans("size", data=True)]
    pattern = VariantName.__metadata__[0].pattern
    assert len(set(found)) == len(found)
    assert all(re.search(pattern, name) for name in found)
    assert Plan(("fuse", "int8-dynamic"), "openvino", "bf16", spared=4).name == (
        "fuse-int8-dynamic-but-4-openvino-bf16"
    )
    assert Plan((), "openvino", "f32").name == "openvino"


def test_without_rows_nothing_that_loses_is_tried() -> None:
    found = list(plans("latency", data=False))
    assert found
    assert all(plan.exact for plan in found)
    assert not Plan((), "openvino", "bf16").exact


def test_the_cheap_come_first() -> None:
    calibrated = [plan.calibrated for plan in plans("latency", data=True)]
    assert calibrated == sorted(calibrated)


def test_only_onnxruntime_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "has_openvino", lambda: False)
    assert {plan.runtime for plan in plans("latency", data=True)} == {"onnxruntime"}


def test_a_chain_is_tried_alone() -> None:
    chain = ("fuse", "weights-8")
    assert {plan.passes for plan in plans("latency", chain=chain, data=True)} == {chain}


def test_a_pass_that_does_not_exist() -> None:
    with pytest.raises(
        UsageError, match=r"'fusion' is not a pass; the passes are: rewrite, slim, fuse"
    ):
        check_passes(("fuse", "fusion"))


def test_a_chain_that_gives_up_accuracy_needs_rows() -> None:
    with pytest.raises(UsageError, match="int8-dynamic gives up accuracy"):
        list(plans("latency", chain=("fuse", "int8-dynamic"), data=False))


def test_only_the_int8_passes_can_spare_layers() -> None:
    assert {name for name in PASSES if Plan((name,), "onnxruntime").mixes} == {
        "int8-dynamic", "int8-minmax", "int8-percentile", "int8-entropy", "int8-nncf",
    }  # fmt: skip
