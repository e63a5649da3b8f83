"""What is left out of an image, and that each rule still has something to leave out."""

import re

import pytest

from onnxpack.image.runtime.prune import OF_GRPC, RULES, has_grpc, is_kept
from onnxpack.image.runtime.wheels import install, requirements
from onnxpack.image.target import Target
from onnxpack.oci.platform import Platform


@pytest.fixture(scope="module")
def wheels(cache):
    folder = install(requirements(pictures=True), Target(Platform("amd64"), "3.11"), cache)
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_meets_something(wheels, rule):
    # No wheel brings byte code, but the folder that onnxpack itself is copied from does.
    paths = [*wheels, "onnxpack/__pycache__/errors.cpython-311.pyc"]
    assert any(re.fullmatch(rule, path) for path in paths)


def test_what_serving_opens_is_kept(wheels):
    kept = {path for path in wheels if is_kept(path)}
    assert "onnxruntime/__init__.py" in kept
    assert "numpy/linalg/_linalg.py" in kept
    assert any(re.fullmatch(r"numpy\.libs/libscipy_openblas64_.*\.so", path) for path in kept)
    assert any(path.endswith("licenses/LICENSE") or "LICENSE" in path for path in kept)


def test_protobuf_is_kept_for_grpc_only(tmp_path):
    assert set(RULES) > OF_GRPC
    for path in ("google/protobuf/message.py", "protobuf-7.0.dist-info/METADATA"):
        assert not is_kept(path)
        assert is_kept(path, grpc=True)
    assert not is_kept("google/protobuf/tests/x.py", grpc=True)
    assert not has_grpc(tmp_path)
    (tmp_path / "grpc").mkdir()
    assert has_grpc(tmp_path)


def test_most_of_the_size_that_is_left_out_is_a_second_copy(wheels):
    left_out = [path for path in wheels if not is_kept(path)]
    assert any(path.startswith("onnxruntime/capi/libonnxruntime.so.") for path in left_out)
    assert not any(path.startswith("onnxruntime/capi/onnxruntime_pybind11") for path in left_out)
