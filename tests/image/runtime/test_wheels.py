"""Which wheels are placed, for which platform, and what is said where there are none."""

from importlib.metadata import version

import pytest

from onnxpack.errors import ImageError, UsageError
from onnxpack.image.cache import Cache
from onnxpack.image.runtime.wheels import install, requirements
from onnxpack.image.target import Target
from onnxpack.oci.platform import Platform

AMD64 = Target(Platform("amd64"), "3.11")


def names(pins):
    return {pin.partition("==")[0] for pin in pins}


def test_what_serving_imports_is_pinned_to_what_was_proven_here():
    pins = requirements()
    assert f"onnxruntime=={version('onnxruntime')}" in pins
    assert names(pins) >= {"numpy", "msgspec", "uvicorn", "httptools", "orjson"}
    assert names(pins).isdisjoint({"torch", "onnx", "click", "rich", "pillow"})


def test_pictures_want_pillow_and_cuda_another_runtime():
    assert f"pillow=={version('pillow')}" in requirements(pictures=True)
    cuda = requirements(runtime="cuda")
    assert f"onnxruntime-gpu[cuda,cudnn]<={version('onnxruntime')}" in cuda
    assert not any(pin.startswith("onnxruntime==") for pin in cuda)


def test_a_platform_without_wheels_is_named(tmp_path):
    with pytest.raises(UsageError, match="no wheels for linux/arm/v7"):
        install(["numpy"], Target(Platform("arm", variant="v7"), "3.11"), Cache(tmp_path))


def test_uv_says_why_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(
        ImageError, match=r"(?i)offline|not found in the cache|no solution"
    ) as refused:
        install(["numpy==2.0.0"], AMD64, Cache(tmp_path / "cache"))
    assert "UV_OFFLINE" in refused.value.remedy
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [
        "lock", next((tmp_path / "cache" / "locks").iterdir()).name
    ]  # fmt: skip


def test_wheels_for_another_machine_are_that_machines(cache):
    """ELF's header tells the machine in its byte 18: 183 is AArch64."""
    folder = install(requirements(), Target(Platform("arm64"), "3.11"), cache)
    (library,) = folder.glob("onnxruntime/capi/onnxruntime_pybind11_state*.so")
    assert library.read_bytes()[18] == 183
