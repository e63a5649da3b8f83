from __future__ import annotations

import pytest

from onnxpack.errors import ProviderError
from onnxpack.report import Level
from onnxpack.runtime import doctor
from onnxpack.runtime.doctor import Environment, examine, installed_wheels, observe
from onnxpack.runtime.providers import ProviderStatus
from onnxpack.runtime.threads import CpuBudget

WELL = CpuBudget(online=8, affinity=8, quota=None)


def patient(budget=WELL, **values) -> Environment:
    return Environment(
        budget, "3.11.7", wheels=values.pop("wheels", {"onnxruntime": "1"}), **values
    )


def status(name: str, **values) -> ProviderStatus:
    short = name.removesuffix("ExecutionProvider").lower()
    given = {"in_build": True, "works": True, "detail": ""} | values
    return ProviderStatus(
        name=name, short=short, hardware="some", package=None, pytorch=None, **given
    )


def about(report, subject):
    return [finding for finding in report.findings if finding.subject == subject]


def test_this_machine():
    report = examine()
    subjects = {finding.subject for finding in report.findings}
    assert {"processors", "python", "onnxpack", "numpy", "telemetry", "cpu"} <= subjects
    (cpu,) = about(report, "cpu")
    assert cpu.level is Level.OK


def test_torch_is_told_and_not_imported():
    import subprocess
    import sys

    code = (
        "import sys; from onnxpack.runtime.doctor import examine; report = examine();"
        "told = [f.subject for f in report.findings if f.subject == 'torch'];"
        "print(told, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "['torch'] False"


def test_processors_without_quota():
    (finding,) = about(examine(patient()), "processors")
    assert finding.level is Level.OK
    assert finding.message == "8 cores, 8 for this process, no quota: 8 threads"


def test_a_quota_that_onnxruntime_would_overrun():
    report = examine(patient(CpuBudget(online=64, affinity=64, quota=2.5)))
    fine, warned = about(report, "processors")
    assert "a quota of 2.5: 2 threads" in fine.message
    assert warned.level is Level.WARNING
    assert "start 64 threads" in warned.message
    assert warned.remedy.endswith("intra_op_num_threads = 2")
    assert report.ok


def test_a_quota_that_is_ample():
    report = examine(patient(CpuBudget(online=4, affinity=4, quota=4.0)))
    assert len(about(report, "processors")) == 1


@pytest.mark.parametrize(
    ("wheels", "remedy"),
    [
        (
            {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"},
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu",
        ),
        (
            {"onnxruntime-gpu": "1", "onnxruntime-openvino": "2"},
            "pip uninstall -y onnxruntime-gpu onnxruntime-openvino && pip install onnxruntime-gpu",
        ),
    ],
)
def test_wheels_that_clash(wheels, remedy):
    (clash,) = about(examine(patient(wheels=wheels)), "onnxruntime")
    assert clash.level is Level.ERROR
    assert all(name in clash.message for name in wheels)
    assert clash.remedy == remedy


def test_one_wheel_is_told():
    (finding,) = about(examine(patient(wheels={"onnxruntime-gpu": "1.31.1"})), "onnxruntime-gpu")
    assert (finding.level, finding.message) == (Level.OK, "1.31.1")


def test_onnxruntime_that_cannot_be_imported():
    report = examine(patient(wheels={}, fault="onnxruntime cannot be imported: no."))
    assert not report.ok
    assert "pip install" in report.errors[0].remedy


def test_observing_an_environment_without_onnxruntime(monkeypatch):
    def fail():
        raise ProviderError("gone")

    monkeypatch.setattr(doctor, "survey", fail)
    assert observe().fault == "gone"


@pytest.mark.parametrize(("value", "level"), [(None, "ok"), ("1", "ok"), ("0", "warning")])
def test_telemetry(value, level):
    (finding,) = about(examine(patient(telemetry=value)), "telemetry")
    assert finding.level.value == level


def test_the_users_own_setting_is_seen(monkeypatch):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    assert observe().telemetry == "0"


def test_cuda_without_its_libraries():
    cuda = status(
        "CUDAExecutionProvider",
        works=False,
        detail="missing libraries: libcudnn.so.9, libcuda.so.1",
    )
    wheels = {"onnxruntime-gpu": "1.31.1"}
    (finding,) = about(examine(patient(providers=(cuda,), wheels=wheels)), "cuda")
    assert finding.level is Level.WARNING
    assert "libcudnn.so.9, libcuda.so.1" in finding.message
    assert finding.remedy == (
        'install NVIDIA\'s driver, then: pip install "onnxruntime-gpu[cuda,cudnn]"'
    )


def test_tensorrt_is_no_python_package():
    detail = "missing libraries: libcublas.so.13, libnvinfer.so.10"
    tensorrt = status("TensorrtExecutionProvider", works=False, detail=detail)
    wheels = {"onnxruntime-gpu": "1.31.1"}
    (finding,) = about(examine(patient(providers=(tensorrt,), wheels=wheels)), "tensorrt")
    assert finding.remedy.startswith("install NVIDIA's TensorRT")


def test_a_provider_that_fails_for_another_reason_has_no_ready_cure():
    cuda = status("CUDAExecutionProvider", works=False, detail="it computes 1, not 2")
    (finding,) = about(examine(patient(providers=(cuda,))), "cuda")
    assert (finding.level, finding.remedy) == (Level.WARNING, "")


def test_providers_that_are_not_in_the_build_are_not_told():
    absent = status("QNNExecutionProvider", in_build=False, works=False, detail="not here")
    azure = status("AzureExecutionProvider", works=False, detail="it is remote")
    report = examine(patient(providers=(absent, azure)))
    assert about(report, "qnn") == []
    assert about(report, "azure")[0].level is Level.OK


def install(folder, name: str, version: str, *files: str) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def test_wheels_are_those_that_bring_the_module(tmp_path):
    module = "onnxruntime/__init__.py"
    install(tmp_path, "onnxruntime", "1.32.0", module)
    install(tmp_path, "onnxruntime_gpu", "1.31.1", module)
    install(tmp_path, "ort_nightly", "9", module)
    install(tmp_path, "onnxruntime_extensions", "0.15", "onnxruntime_extensions/__init__.py")
    install(tmp_path, "other", "1", module)
    (tmp_path / "broken-1.dist-info").mkdir()
    assert installed_wheels([str(tmp_path)]) == {
        "onnxruntime": "1.32.0",
        "onnxruntime-gpu": "1.31.1",
        "ort-nightly": "9",
    }
    assert list(installed_wheels()) == ["onnxruntime"]
