"""``onnxpack providers`` and ``onnxpack doctor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from onnxpack.report import error, report
from onnxpack.runtime.providers import ProviderStatus

Run = Callable[..., Any]


def test_the_cpu_works(onnxpack: Run) -> None:
    statuses = {status["short"]: status for status in onnxpack("providers", "--json").json}
    assert statuses["cpu"]["works"] is True
    assert statuses["cpu"]["pytorch"] == "cpu"
    assert statuses["cuda"]["pytorch"] == "gpu"


def test_providers_as_a_table(onnxpack: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ProviderStatus(
        name="CUDAExecutionProvider",
        short="cuda",
        in_build=True,
        works=False,
        detail="libcudnn.so.9 is missing",
        hardware="NVIDIA GPU",
        package="onnxruntime-gpu",
        pytorch="gpu",
    )
    monkeypatch.setattr("onnxpack.runtime.providers.survey", lambda: (broken,))
    lines = onnxpack("providers").out.splitlines()
    assert lines[1].split() == ["cuda", "yes", "no", "GPU", "NVIDIA", "GPU", "onnxruntime-gpu"]
    assert "cuda does not work here: libcudnn.so.9 is missing" in lines


@pytest.mark.parametrize(("findings", "code"), [([], 0), ([error("wheels", "clash", "cure")], 1)])
def test_the_doctors_verdict(
    onnxpack: Run, monkeypatch: pytest.MonkeyPatch, findings: list[Any], code: int
) -> None:
    monkeypatch.setattr("onnxpack.runtime.doctor.examine", lambda: report(findings))
    told = onnxpack("doctor")
    assert told.code == onnxpack("doctor", "--json").code == code
    assert ("→ cure" in told.out) is bool(findings)


def test_the_doctor_examines_this_machine(onnxpack: Run) -> None:
    subjects = [finding["subject"] for finding in onnxpack("doctor", "--json").json["findings"]]
    assert "onnxruntime" in subjects
