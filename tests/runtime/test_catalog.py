from __future__ import annotations

from onnxpack.runtime.catalog import CATALOG, look_up
from onnxpack.runtime.session import load_onnxruntime


def test_every_provider_of_onnxruntime_is_known():
    assert set(load_onnxruntime().get_all_providers()) <= CATALOG.keys()


def test_names_are_distinct():
    shorts = [row.short for row in CATALOG.values()]
    assert len(set(shorts)) == len(shorts)
    assert all(short == short.lower() for short in shorts)


def test_a_new_provider_gets_a_plain_row():
    row = look_up("QuantumExecutionProvider")
    assert (row.short, row.package, row.pytorch) == ("quantum", None, None)


def test_what_pytorch_users_need():
    marked = {row.short: row.pytorch for row in CATALOG.values() if row.pytorch}
    assert marked["cpu"] == "cpu"
    assert marked["cuda"] == marked["tensorrt"] == marked["migraphx"] == "gpu"


def test_remedies_warn_that_wheels_overwrite_each_other():
    remedy = look_up("CUDAExecutionProvider").remedy
    assert "pip install onnxruntime-gpu" in remedy
    assert "pip uninstall -y onnxruntime" in remedy
    assert "overwrite each other" in remedy
    assert "build onnxruntime" in look_up("XnnpackExecutionProvider").remedy
