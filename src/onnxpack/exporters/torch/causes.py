"""PyTorch's refusals in plain words, and the likely cause with its cure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from onnxpack.exporters.subject import Attempt, Cause

BOILERPLATE = (
    "Failed to export the model with torch.export",
    "Failed to convert the exported program",
    "Failed to decompose",
    "Please",
    "The following",
    "For more",
    "This is step",
    "Refer to",
    "Set TORCH",
    "Summary of",
    "Traceback of",
    "Found the following conflicts",
    "Constraints violated",
)


def plain_words(exc: BaseException) -> str:
    """What an exporter said, in a line: the innermost cause that says something.

    The outer messages of ``torch.onnx.export`` are the same for every failure.
    """
    chain = list(_chain(exc))
    for link in reversed(chain):
        line = _telling_line(str(link))
        if line:
            place = next((p for e in chain if (p := _user_place(str(e)))), "")
            return f"{_translated(line)}{f' ({place})' if place else ''}"
    return type(exc).__name__


def diagnose(model: torch.nn.Module, attempts: Sequence[Attempt]) -> Cause | None:
    """The likely cause, from what the strategies said and from what the model is made of."""
    said = "\n".join(attempt.error or "" for attempt in attempts)
    quantized = _quantized(model)
    if quantized:
        return Cause(
            f"{quantized} computes in int8 with PyTorch's own kernels; ONNX Runtime rounds "
            "differently",
            "export the float model, then quantise the pack",
        )
    dtype = _unusual_dtype(model)
    if dtype:
        return Cause(
            f"the weights are {dtype}, for which ONNX Runtime lacks kernels on CPU",
            "export model.float() with a float32 sample",
        )
    for pattern, cause in CAUSES:
        if re.search(pattern, said):
            return cause
    if any(_froze(attempt) for attempt in attempts):
        return FROZEN
    return None


FROZEN = Cause(
    "a size that should vary was fixed inside the graph",
    "in forward() take sizes from the input, x.shape[0] or x.flatten(1), not from a number; "
    "or fix them on purpose with static=True (--static)",
)
CAUSES: Sequence[tuple[str, Cause]] = (
    (
        r"values decide|decides from a tensor's values",
        Cause(
            "forward() decides in Python from a tensor's values, which a graph cannot",
            "write it with tensors: torch.where(condition, a, b), or torch.cond for a branch; "
            "keep numpy, .item() and int(tensor) out of forward()",
        ),
    ),
    (
        r"a size that varies decides",
        Cause(
            "forward() decides in Python from a size that is to vary, which a graph cannot",
            "write it with tensors, without if, for and len() over sizes; or fix the sizes on "
            "purpose with static=True (--static)",
        ),
    ),
    (
        r"ONNX has no operator for",
        Cause(
            "forward() calls an operator that ONNX does not have",
            "write it with simpler operators",
        ),
    ),
)


def _froze(attempt: Attempt) -> bool:
    if attempt.error and "was frozen at" in attempt.error:
        return True
    failed = [case for case in attempt.evidence if not case.passed]
    return bool(failed) and all("=" in case.name for case in failed)


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _telling_line(message: str) -> str:
    for line in message.splitlines():
        text = line.strip()
        if text and not text.startswith(BOILERPLATE) and re.search(r"[a-zA-Z]{3}", text):
            return text[:300]
    return ""


def _translated(line: str) -> str:
    missing = re.search(r"(aten|torchvision|prims|quantized)::(\w+)|aten\.(\w+)", line)
    if missing and re.search(r"[Uu]nsupported|not supported|No ONNX function|no decomp", line):
        return f"ONNX has no operator for {missing.group(0)}"
    if "data-dependent" in line:
        return "Python decides from a tensor's values"
    frozen = re.search(r"\.size\(\)\[(\d+)\] as dynamic but .* be a constant \((\d+)\)", line)
    if frozen:
        return f"the code works for one size only: axis {frozen[1]} was frozen at {frozen[2]}"
    return line


def _user_place(message: str) -> str:
    """The last line of the user's own code that a message shows."""
    for file, line in reversed(re.findall(r'File "([^"]+)", line (\d+)', message)):
        if "/site-packages/" not in file and "/onnxpack/" not in file and "<" not in file:
            return f"{Path(file).name}:{line}"
    return ""


def _quantized(model: torch.nn.Module) -> str:
    for name, module in model.named_modules():
        if ".quantized" in type(module).__module__ and ".qat" not in type(module).__module__:
            return f"{name or 'the model'} ({type(module).__name__})"
    return ""


def _unusual_dtype(model: torch.nn.Module) -> str:
    for tensor in model.parameters():
        if tensor.dtype in (torch.float64, torch.bfloat16, torch.float16):
            return str(tensor.dtype).removeprefix("torch.")
    return ""
