"""Turn PyTorch's errors into plain words, with the likely cause and a remedy."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from onnxpack.exporters.random_operators import DRAWN
from onnxpack.exporters.torch.watch.calls import find_call
from onnxpack.exporters.torch.watch.gradients import find_gradient
from onnxpack.parity.subject import Attempt, Cause

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
    """Return an exporter's error in a line: the innermost cause with a message.

    The outer messages of ``torch.onnx.export`` are the same for every failure.
    """
    chain = list(_chain(exc))
    for link in reversed(chain):
        line = _telling_line(str(link))
        if line:
            place = next((p for e in chain if (p := _user_place(str(e)))), "")
            return f"{_translated(line)}{f' ({place})' if place else ''}"
    return type(exc).__name__


def diagnose(
    model: torch.nn.Module, attempts: Sequence[Attempt], run: Callable[[], Any]
) -> Cause | None:
    """Return the likely cause, by the strategies' errors and by the model's parts.

    Args:
        run: runs the model once more.
    """
    said = "\n".join(attempt.error or "" for attempt in attempts)
    if "has no implementation of" in said and _is_double(model):
        return TOO_COARSE
    if any(map(_chose_others, attempts)):
        return UNSURE
    if any(attempt.is_right_at_all_sizes for attempt in attempts):
        return None
    if DRAWN in said:
        return RANDOM
    gradient = find_gradient(run)
    if gradient and not any(attempt.evidence for attempt in attempts):
        return Cause(
            f"forward() computes a gradient in a way that ONNX cannot express, at {gradient}",
            "write the derivative as a formula; or return the value to differentiate, and "
            "compute gradients outside the model",
        )
    decided = _decision(said)
    if decided:
        return decided
    known = next((cause for words, cause in KNOWN if words in said), None)
    if known:
        return known
    missing = [re.search(MISSING, attempt.error or "") for attempt in attempts]
    if missing and all(missing) and missing[0]:
        return _missing(missing[0][1], run)
    if "was frozen at" in said:
        return FROZEN
    return MAYBE_FROZEN if any(map(_may_be_frozen, attempts)) else None


def _decision(said: str) -> Cause | None:
    """Return the cause for a line that decides in Python, with a way to write that line."""
    for words, kinds in (
        ("depends on a tensor's values", ON_VALUES),
        ("depends on a dynamic size", ON_SIZES),
    ):
        if not re.search(words, said):
            continue
        place = re.search(
            rf"(?:{words}) at ([^:;\n]+:\d+): ([^\n]*?)(?:; [^:;\n]+:\d+: |$)", said, re.MULTILINE
        )
        code = place[2] if place else ""
        what, remedy = next(rest for pattern, *rest in kinds if re.search(pattern, code))
        at = f", at {place[1]}:\n      {code}" if place else ""
        return Cause(f"forward() {what}, which a graph cannot do{at}", remedy)
    return None


def _missing(operator: str, run: Callable[[], Any]) -> Cause:
    place = find_call(operator, run)
    shown = f" at {place}" if place else ""
    return Cause(
        f"forward() calls {operator}, an operator that ONNX does not have,{shown}".rstrip(","),
        "write it with other torch operators; ONNX operators are listed at "
        "https://onnx.ai/onnx/operators",
    )


def cure(exc: Exception) -> str:
    """Return a remedy for the error with which the model refuses its sample."""
    return next((remedy for pattern, remedy in CURES if re.search(pattern, str(exc))), "")


PLACE = r"([^:;\n]+:\d+): ([^\n]*?)(?:; [^:;\n]+:\d+: |$)"
"""Pattern of a file, a line number and its code; other places may follow."""
SHAPES = "shapes cannot be multiplied|size of tensor|[Ee]xpected .* (channels|dimension|size|input)"
DTYPES = "scalar type|same dtype|dtype mismatch|Input type"
CURES: Sequence[tuple[str, str]] = (
    ("meta tensor|on meta", "give the model its weights first: load_state_dict(..., assign=True)"),
    ('required "forward"', "define a method named forward() in the class"),
    ("index out of range", "give a sample whose indices are in the model's range"),
    (DTYPES, "give the sample in the model's dtype: sample.float(), or sample.long() for indices"),
    (SHAPES, "give a sample with the shape that the model takes, batch axis first"),
    ("tensors to be on the same device", "move the whole model to one device: model.cpu()"),
)
UNSURE = Cause(
    "detections differ: the scores or overlaps of some boxes are nearly equal, so which boxes "
    "are kept depends on float32's last digit, as with weights that were never trained",
    "export the trained model, with a picture on which its detections are confident",
)
TOO_COARSE = Cause(
    "the model computes in float64, for which ONNX Runtime lacks kernels of some operators on "
    "CPU; and its values do not fit into float32",
    "do not mix huge and tiny numbers: subtract offsets from the inputs before the model is called",
    certain=False,
)
RANDOM = Cause(
    "forward() draws random numbers, at least for some inputs",
    "make the noise an input of forward(), or draw it only if self.training",
)
FROZEN = Cause(
    "a size that should vary was fixed inside the graph",
    "in forward() take sizes from the input, x.shape[0] or x.flatten(1), not from a number; or "
    "fix all sizes with static=True (--static)",
)
MAYBE_FROZEN = dataclasses.replace(FROZEN, certain=False)
MISSING = r"ONNX has no operator for ([\w:.]+)"
OTHER_SHAPE = r"^is \w+\[.*\], expected \w+\[|cannot be reshaped to the requested shape"
"""Pattern of an output of another shape, or onnxruntime 1.32's error for a Reshape to a fixed
size."""
SCRIPTED = (
    "make forward() scriptable, which keeps the loop: use type hints, tensors and methods, but "
    "no lambdas and no **kwargs. Try it with torch.jit.script(model)"
)
BY_VALUES, BY_SIZES = (
    f"runs Python code that depends on {what}" for what in ("a tensor's values", "a dynamic size")
)
FIX = "; or fix all sizes with static=True (--static)"
ON_VALUES: Sequence[tuple[str, str, str]] = (
    (
        r"\.numpy\(|\bnp\.|\bnumpy\.",
        "passes a tensor to numpy",
        "use torch instead of numpy",
    ),
    (
        r"one_hot\(",
        "counts the classes for one_hot",
        "pass the number of classes: F.one_hot(x, num_classes=10)",
    ),
    (
        r"\[int\(|\[[\w.]+\.item\(\)\]",
        "selects one of several by a tensor's value",
        (
            "compute all of them and select with a tensor: torch.stack([f(x) for f in "
            "self.heads])[index]"
        ),
    ),
    (r"^while ", BY_VALUES, SCRIPTED),
    (
        r"^assert |^raise ",
        BY_VALUES,
        "move the check out of forward(), and run it before the model is called",
    ),
    (
        r"\.item\(|\.tolist\(|\bint\(|\bfloat\(|^for ",
        BY_VALUES,
        (
            "keep it a tensor, without .item(), int(tensor) and float(tensor): use masks, "
            "torch.index_select, torch.where(condition, a, b)"
        ),
    ),
    (
        "",
        BY_VALUES,
        (
            "write it with tensors: torch.where(condition, a, b), or torch.cond for a branch; "
            "keep numpy, .item() and int(tensor) out of forward()"
        ),
    ),
)
"""Patterns of code, with what it does and how to write it instead; the first match counts."""
ON_SIZES: Sequence[tuple[str, str, str]] = (
    (r"^for .*range\(", BY_SIZES, SCRIPTED + FIX),
    (r"\bfor ", BY_SIZES, f"compute all rows at once, without a loop over them{FIX}"),
    ("", BY_SIZES, f"write it with tensors, without if, for and len() over sizes{FIX}"),
)
KNOWN: Sequence[tuple[str, Cause]] = (
    (
        "kernel of unknown shape",
        Cause(
            "forward() computes a convolution's weights, with a shape or groups that depend on "
            "the input",
            f"make their shape the same for every input{FIX}",
        ),
    ),
    (
        "pack_padded_sequence or pad_packed_sequence",
        Cause(
            "forward() does more with a packed sequence than pass it to a recurrent layer",
            "unpack it first, with pad_packed_sequence, and work on the padded tensor",
        ),
    ),
)
"""Texts of exporters' errors, with their causes."""


def _chose_others(attempt: Attempt) -> bool:
    """Return whether a graph ran everywhere, and differs only in the boxes that it keeps."""
    failed = [each for case in attempt.evidence for each in case.outputs if not each.passed]
    return any(each.output.endswith("boxes") and each.max_abs for each in failed)


def _may_be_frozen(attempt: Attempt) -> bool:
    """Return whether only other sizes fail, with outputs of the wrong shape.

    Other differences at other sizes have other causes: NaN, an operator that rounds, a missing
    kernel.
    """
    failed = [case for case in attempt.evidence if not case.passed]
    others = [case for case in attempt.evidence if case.passed]
    reasons = [each.reason for case in failed for each in case.outputs if not each.passed]
    return (
        bool(failed and others)
        and all("=" in case.name for case in failed)
        and all(re.search(OTHER_SHAPE, reason) for reason in reasons)
    )


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
            return re.split(r" \[Caused by| Please (feel|file)", text)[0][:300].strip()
    return ""


def _translated(line: str) -> str:
    missing = re.search(r"(aten|torchvision|prims|quantized)::(\w+)|(aten|prims)\.(\w+)", line)
    if missing and re.search(r"[Uu]nsupported|not supported|No ONNX function|no decomp", line):
        return f"ONNX has no operator for {missing.group(0)}"
    if "data-dependent" in line:
        return "Python code depends on a tensor's values"
    frozen = re.search(r"\.size\(\)\[(\d+)\] as dynamic but .* be a constant \((\d+)\)", line)
    if frozen:
        return f"the code works for one size only: axis {frozen[1]} was frozen at {frozen[2]}"
    return line


def _user_place(message: str) -> str:
    """Return the last line of the user's own code that a message shows."""
    for file, line in reversed(re.findall(r'File "([^"]+)", line (\d+)', message)):
        if "/site-packages/" not in file and "/onnxpack/" not in file and "<" not in file:
            return f"{Path(file).name}:{line}"
    return ""


def _is_double(model: torch.nn.Module) -> bool:
    return any(tensor.dtype is torch.float64 for tensor in model.parameters())
