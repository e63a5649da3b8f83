"""EfficientNet-lite0, ResNet-18 and MiniLM on an NVIDIA GPU, beside PyTorch on the same one.

    python benchmarks/gpu.py export FOLDER
    python benchmarks/gpu.py time FOLDER --output gpu.md

Run by ``benchmarks/gpu.sh``. Inputs and outputs stay on the GPU, for PyTorch and onnxruntime.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "optimize"))
import torch
from cases import Case, efficientnet_lite0, minilm_l6, resnet18

import onnxpack
from onnxpack.benchmark.clock import interleave
from onnxpack.benchmark.ratio import faster
from onnxpack.graph.passes.float16 import to_float16
from onnxpack.runtime.doctor import installed_versions
from onnxpack.runtime.session import load_onnxruntime, placement

CASES: Mapping[str, Callable[[int], Case]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "resnet18": resnet18,
    "minilm-l6": minilm_l6,
}
BATCHES = (1, 32)
SECONDS = 0.5
ROWS = max(BATCHES)
CUDA = ("CUDAExecutionProvider", {"use_tf32": "1"})
PROVIDERS: Mapping[str, list[Any]] = {
    "CUDA": [CUDA],
    # A low level builds engines in seconds; NVIDIA's own default is 3.
    "TensorRT": [("TensorrtExecutionProvider", {"trt_builder_optimization_level": "2"}), CUDA],
}
Call = Callable[[], object]


def main() -> None:
    """Export the packs, or time them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("export", "time"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if options.what == "export":
        options.folder.mkdir(parents=True, exist_ok=True)
        for name, make in CASES.items():
            case = make(ROWS)
            model = case.model if case.exported is None else case.exported
            onnxpack.export(model, case.sample, options.folder / name, force=True)
        return
    lines: list[str] = []
    for line in _page(options.folder):
        lines.append(line)
        print(line, flush=True)
        if options.output:  # line by line: what was measured stays if the time is up
            options.output.write_text("\n".join(lines) + "\n")


def _page(folder: Path) -> Iterator[str]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    named = installed_versions(
        ("onnxpack", "onnxruntime-gpu", "torch", "tensorrt-cu12", "tensorrt-cu13")
    )
    yield "# On an NVIDIA GPU"
    yield ""
    yield f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}; " + ", ".join(
        f"{name} {version}" for name, version in named.items()
    )
    yield ""
    yield "Inputs and outputs stay on the GPU. All ways of one model and batch are timed in turn."
    for name, make in CASES.items():
        case = make(ROWS)
        for batch in BATCHES:
            yield ""
            yield f"## {case.name}, batch {batch}"
            yield ""
            yield from _table(case, folder / name, batch)


def _table(case: Case, pack: Path, batch: int) -> Iterator[str]:
    calls: dict[str, Call] = {}
    notes: dict[str, str] = {}
    with TemporaryDirectory() as work:
        for name, make in _ways(case, pack, batch, Path(work)):
            print(f"{case.name}, batch {batch}: {name}", file=sys.stderr)
            try:
                call, notes[name] = make()
                call()
            except Exception as exc:  # noqa: BLE001 - a way can fail in any way, which is a row
                notes[name] = f"failed: {type(exc).__name__}: {str(exc).strip()[:120]}"
            else:
                calls[name] = call
        timed = interleave(calls, seconds=SECONDS)
    first = next(iter(timed.values()))
    yield "| way | ms | to PyTorch eager, TF32 | nodes, by provider |"
    yield "|---|---|---|---|"
    for name, note in notes.items():
        if name not in timed:
            yield f"| {name} | | | {note} |"
            continue
        ratio = faster(timed[name], first)
        yield (
            f"| {name} | {timed[name].median * 1e3:.3f} "
            f"| {ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f}) | {note} |"
        )


def _ways(
    case: Case, pack: Path, batch: int, work: Path
) -> Iterator[tuple[str, Callable[[], tuple[Call, str]]]]:
    """Each way by name, with what prepares it and tells its placement."""
    inputs = [torch.from_numpy(rows[:batch]).cuda() for rows in case.rows.values()]
    halves = [each.half() if each.is_floating_point() else each for each in inputs]
    model = case.model.cuda().eval()
    half = copy.deepcopy(model).half()
    yield "PyTorch eager, TF32", lambda: (_torch(model, inputs), "")
    yield "PyTorch eager, float16", lambda: (_torch(half, halves), "")
    yield "torch.compile, TF32", lambda: (_torch(torch.compile(model), inputs), "")
    graphs = "torch.compile with CUDA graphs, float16"
    yield graphs, lambda: (_torch(torch.compile(half, mode="reduce-overhead"), halves), "")
    float32 = onnxpack.open_pack(pack).model_path
    float16 = work / "model.onnx"
    to_float16(float32, float16)
    for provider in PROVIDERS:
        for precision, graph in (("TF32", float32), ("float16", float16)):
            yield (
                f"onnxruntime, {provider}, {precision}",
                partial(_session, graph, provider, inputs),
            )


def _torch(model: Any, inputs: list[torch.Tensor]) -> Call:
    def call() -> None:
        with torch.inference_mode():
            model(*inputs)
        torch.cuda.synchronize()

    for _ in range(3):  # CUDA graphs are recorded by the second call
        call()
    return call


def _session(graph: Path, provider: str, inputs: list[torch.Tensor]) -> tuple[Call, str]:
    ort: Any = load_onnxruntime()
    ort.preload_dlls()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(
        str(graph), options, providers=PROVIDERS[provider], enable_fallback=0
    )
    found = placement(session)
    if not any(provider.lower() in name.lower() for name in found):
        raise RuntimeError(f"{provider} runs no node: {found}")
    binding = session.io_binding()
    for spec, tensor in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_input(
            spec.name, "cuda", 0, str(tensor.dtype).removeprefix("torch."),
            tuple(tensor.shape), tensor.data_ptr(),
        )  # fmt: skip
    for spec in session.get_outputs():
        binding.bind_output(spec.name, "cuda")
    placed = ", ".join(f"{name.removesuffix('ExecutionProvider')} {n}" for name, n in found.items())
    return lambda: session.run_with_iobinding(binding), placed


if __name__ == "__main__":
    main()
