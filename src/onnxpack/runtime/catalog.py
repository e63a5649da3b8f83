"""What is known about each execution provider: its hardware, and the package that contains it."""

from __future__ import annotations

from typing import Literal, NamedTuple

SUFFIX = "ExecutionProvider"
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
AZURE = "AzureExecutionProvider"


class ProviderInfo(NamedTuple):
    """One execution provider.

    Attributes:
        name: name by which onnxruntime knows it.
        short: short name for users.
        hardware: hardware that it runs on.
        package: Python package that contains it; None if it must be built from source, or belongs
            to another platform.
        pytorch: the PyTorch users who need it; None if they do not.
    """

    name: str
    short: str
    hardware: str
    package: str | None = None
    pytorch: Literal["cpu", "gpu"] | None = None

    @property
    def remedy(self) -> str:
        """Advice on how to install the provider."""
        if self.package is None:
            return f"no Python package brings it: build onnxruntime with it for {self.hardware}"
        return (
            f"pip uninstall -y onnxruntime && pip install {self.package}"
            "   # these wheels overwrite each other: uninstall first"
        )


_ROWS = (
    ProviderInfo(
        f"Tensorrt{SUFFIX}", "tensorrt", "NVIDIA GPU with TensorRT", "onnxruntime-gpu", "gpu"
    ),
    ProviderInfo(CUDA, "cuda", "NVIDIA GPU", "onnxruntime-gpu", "gpu"),
    ProviderInfo(f"NvTensorRTRTX{SUFFIX}", "tensorrt-rtx", "NVIDIA RTX GPU", "onnxruntime-trt-rtx"),
    ProviderInfo(f"MIGraphX{SUFFIX}", "migraphx", "AMD GPU", "onnxruntime-migraphx", "gpu"),
    ProviderInfo(f"ROCM{SUFFIX}", "rocm", "AMD GPU, before MIGraphX", "onnxruntime-rocm"),
    ProviderInfo(
        f"OpenVINO{SUFFIX}", "openvino", "Intel CPU, GPU and NPU", "onnxruntime-openvino", "cpu"
    ),
    ProviderInfo(f"Dnnl{SUFFIX}", "dnnl", "x86 CPU through oneDNN"),
    ProviderInfo(f"VitisAI{SUFFIX}", "vitisai", "AMD NPU and adaptive SoC"),
    ProviderInfo(f"QNN{SUFFIX}", "qnn", "Qualcomm NPU", "onnxruntime-qnn"),
    ProviderInfo(f"Nnapi{SUFFIX}", "nnapi", "Android"),
    ProviderInfo(f"VSINPU{SUFFIX}", "vsinpu", "VeriSilicon NPU"),
    ProviderInfo(f"Js{SUFFIX}", "js", "web browser"),
    ProviderInfo(f"CoreML{SUFFIX}", "coreml", "Apple CPU, GPU and Neural Engine", "onnxruntime"),
    ProviderInfo(f"Dml{SUFFIX}", "directml", "any GPU on Windows", "onnxruntime-directml"),
    ProviderInfo(f"Rknpu{SUFFIX}", "rknpu", "Rockchip NPU"),
    ProviderInfo(f"WebNN{SUFFIX}", "webnn", "web browser"),
    ProviderInfo(f"WebGpu{SUFFIX}", "webgpu", "any GPU through WebGPU", "onnxruntime-webgpu"),
    ProviderInfo(f"Xnnpack{SUFFIX}", "xnnpack", "Arm and x86 CPU through XNNPACK"),
    ProviderInfo(f"CANN{SUFFIX}", "cann", "Huawei Ascend NPU", "onnxruntime-cann"),
    ProviderInfo(AZURE, "azure", "remote endpoints of Azure", "onnxruntime"),
    ProviderInfo(CPU, "cpu", "any CPU", "onnxruntime", "cpu"),
)
CATALOG = {row.name: row for row in _ROWS}


def look_up(name: str) -> ProviderInfo:
    """Return the entry of a provider by its full name, or a basic entry for an unknown one."""
    short = name.removesuffix(SUFFIX).lower()
    return CATALOG.get(name) or ProviderInfo(name, short, "not known to this onnxpack")
