from __future__ import annotations

import pytest

from onnxpack.errors import ProviderError
from onnxpack.runtime import providers
from onnxpack.runtime.session import load_onnxruntime

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
CPU, AZURE = "CPUExecutionProvider", "AzureExecutionProvider"


@pytest.fixture
def gpu_build(monkeypatch):
    """An onnxruntime that says it has NVIDIA's providers, whether or not they work."""
    names = [TENSORRT, CUDA, AZURE, CPU]
    monkeypatch.setattr(load_onnxruntime(), "get_available_providers", lambda: names)


def test_the_survey_has_every_provider():
    found = {status.name: status for status in providers.survey()}
    assert set(load_onnxruntime().get_all_providers()) <= set(found)
    assert found[CPU].works
    assert found[CPU].in_build
    assert found[CPU].detail == ""
    assert all(status.detail for status in found.values() if not status.works)


def test_azure_is_not_local(monkeypatch):
    monkeypatch.setattr(load_onnxruntime(), "get_available_providers", lambda: [AZURE, CPU])
    (azure,) = [status for status in providers.survey() if status.name == AZURE]
    assert azure.in_build
    assert not azure.works
    assert "remote" in azure.detail


def test_being_in_the_build_is_no_proof(gpu_build):
    # The real build lacks CUDA, so the real probe tells the truth about the claim.
    (cuda,) = [status for status in providers.survey() if status.name == CUDA]
    assert cuda.in_build
    assert not cuda.works
    assert cuda.detail


def test_a_provider_that_onnxruntime_learns_tomorrow(monkeypatch):
    monkeypatch.setattr(
        load_onnxruntime(), "get_all_providers", lambda: ["QuantumExecutionProvider", CPU]
    )
    quantum, *_ = providers.survey()
    assert (quantum.short, quantum.in_build, quantum.works) == ("quantum", False, False)


@pytest.mark.parametrize("name", ["cuda", "CUDA", " Cuda ", CUDA, CUDA.lower()])
def test_any_spelling(gpu_build, name):
    assert providers.resolve(name) == (CUDA,)


@pytest.mark.parametrize("name", ["dml", "directml", "DmlExecutionProvider"])
def test_two_short_names_of_one_provider(monkeypatch, name):
    monkeypatch.setattr(
        load_onnxruntime(), "get_available_providers", lambda: ["DmlExecutionProvider", CPU]
    )
    assert providers.resolve(name) == ("DmlExecutionProvider",)


def test_auto_is_every_local_provider_and_the_cpu_last(gpu_build):
    assert providers.resolve("auto") == (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize("name", ["", "gpu", "cpu;rm", "ExecutionProvider", "\0"])
def test_unknown(name):
    with pytest.raises(ProviderError, match=r"is unknown, expected one of: auto, .*cuda.*cpu"):
        providers.resolve(name)


def test_known_but_not_installed():
    with pytest.raises(ProviderError, match="'rknpu' is not in the installed onnxruntime") as e:
        providers.resolve("rknpu")
    assert "build onnxruntime" in e.value.remedy


def test_the_remedy_names_the_package(monkeypatch):
    monkeypatch.setattr(load_onnxruntime(), "get_available_providers", lambda: [CPU])
    with pytest.raises(ProviderError, match="which has: cpu") as caught:
        providers.resolve("cuda")
    assert "pip install onnxruntime-gpu" in caught.value.remedy
