from __future__ import annotations

from types import SimpleNamespace

import pytest

from onnxpack.errors import PackError, ProviderError
from onnxpack.runtime import choose, libraries
from onnxpack.runtime.session import load_onnxruntime

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
CPU = "CPUExecutionProvider"


@pytest.fixture
def build(monkeypatch):
    """A build whose providers take the nodes that they are told to, or fail to load."""
    opened: list[list[str]] = []

    def install(**nodes: int | None) -> list[list[str]]:
        names = {"tensorrt": TENSORRT, "cuda": CUDA, "cpu": CPU}
        taken = {names[short]: count for short, count in nodes.items()}

        def session(graph, options=None, *, sess_options, providers, enable_fallback):
            opened.append(providers)
            if taken[providers[0]] is None:
                raise RuntimeError(f"{providers[0]} broke")
            parts = [
                SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [0] * count)
                for name, count in taken.items()
                if count and name in providers
            ]
            return SimpleNamespace(get_provider_graph_assignment_info=lambda: parts)

        ort = load_onnxruntime()
        monkeypatch.setattr(ort, "get_available_providers", lambda: list(taken))
        monkeypatch.setattr(ort, "InferenceSession", session)
        return opened

    return install


def test_auto_takes_the_first_that_runs_something(build, tmp_path):
    build(tensorrt=3, cuda=2, cpu=1)
    chosen = choose.open_on(tmp_path, "auto", threads=1)
    assert chosen.provider == TENSORRT
    assert chosen.placement == {TENSORRT: 3, CUDA: 2, CPU: 1}


def test_auto_passes_over_what_runs_nothing_or_breaks(build, tmp_path):
    opened = build(tensorrt=None, cuda=0, cpu=4)
    assert choose.open_on(tmp_path, "auto", threads=1).provider == CPU
    assert opened[0] == [TENSORRT, CUDA, CPU]


def test_one_that_was_asked_for_and_runs_nothing_is_an_error(build, tmp_path):
    build(cuda=0, cpu=4)
    with pytest.raises(ProviderError, match="'cuda' was requested but does not run this graph"):
        choose.open_on(tmp_path, "cuda", threads=1)


def test_one_that_was_asked_for_and_breaks_is_an_error(build, tmp_path):
    build(cuda=None, cpu=4)
    with pytest.raises(ProviderError, match="CUDAExecutionProvider broke"):
        choose.open_on(tmp_path, "cuda", threads=1)


def test_missing_libraries_are_named(build, tmp_path, monkeypatch):
    build(cuda=0, cpu=4)
    monkeypatch.setattr(libraries, "provider_library", lambda name: tmp_path)
    monkeypatch.setattr(libraries, "missing_libraries", lambda path: ("libcudnn.so.9",))
    with pytest.raises(ProviderError, match=r"missing libraries: libcudnn\.so\.9") as caught:
        choose.open_on(tmp_path, "cuda", threads=1)
    assert caught.value.remedy == "onnxpack doctor"


@pytest.mark.parametrize("provider", ["auto", "cuda", "cpu"])
def test_a_graph_at_fault_is_not_blamed_on_the_provider(build, tmp_path, provider):
    build(cuda=None, cpu=None)
    with pytest.raises(PackError, match="CPUExecutionProvider broke"):
        choose.open_on(tmp_path, provider, threads=1)


def test_the_cpu_may_have_nothing_to_do(graphs):
    assert choose.open_on(graphs.echo(1).model_path, "cpu", threads=1).provider == CPU
