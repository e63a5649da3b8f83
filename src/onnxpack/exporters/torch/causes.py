"""PyTorch's refusals in plain words, and the likely cause with its cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from onnxpack.exporters.subject import Attempt, Cause
from onnxpack.exporters.torch.operators import find_call

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


def diagnose(
    model: torch.nn.Module, attempts: Sequence[Attempt], run: Callable[[], Any]
) -> Cause | None:
    """The likely cause, from what the strategies said and from what the model is made of.

    Args:
        run: asks the model once more.
    """
    said = "\n".join(attempt.error or "" for attempt in attempts)
    dtype = _unusual_dtype(model)
    if dtype:
        return Cause(
            f"the weights are {dtype}, for which ONNX Runtime lacks kernels on CPU",
            "export model.float() with a float32 sample",
        )
    if any(map(_chose_others, attempts)):
        return UNSURE
    decided = _decision(said)
    if decided:
        return decided
    missing = re.search(r"ONNX has no operator for ([\w:.]+)", said)
    if missing:
        return _missing(missing[1], run)
    return FROZEN if any(_froze(attempt) for attempt in attempts) else None


def _decision(said: str) -> Cause | None:
    """What Python decides, at which line, and how that kind of line is written instead."""
    for words, what, kinds in (
        ("values decide|decides from a tensor's values", "a tensor's values", ON_VALUES),
        ("a size that varies decides", "a size that is to vary", ON_SIZES),
    ):
        if not re.search(words, said):
            continue
        place = re.search(
            rf"(?:{words}) at ([^:;\n]+:\d+): ([^\n]*?)(?:; [^:;\n]+:\d+: |$)", said, re.MULTILINE
        )
        code = place[2] if place else ""
        remedy = next(remedy for pattern, remedy in kinds if re.search(pattern, code))
        return Cause(
            f"forward() decides in Python from {what}, which a graph cannot"
            + (f", at {place[1]}:\n      {code}" if place else ""),
            remedy,
        )
    return None


def _missing(operator: str, run: Callable[[], Any]) -> Cause:
    place = find_call(operator, run)
    shown = f" at {place}" if place else ""
    return Cause(
        f"forward() calls {operator}, an operator that ONNX does not have,{shown}".rstrip(","),
        "write it with other operators of torch; those of ONNX are listed at "
        "https://onnx.ai/onnx/operators",
    )


def cure(exc: Exception) -> str:
    """What to write where the model refuses its sample with this error."""
    return next((remedy for pattern, remedy in CURES if re.search(pattern, str(exc))), "")


PLACE = r"([^:;\n]+:\d+): ([^\n]*?)(?:; [^:;\n]+:\d+: |$)"
"""A file with a line, and the code that stands there; others may follow it."""
SHAPES = "shapes cannot be multiplied|size of tensor|[Ee]xpected .* (channels|dimension|size|input)"
DTYPES = "scalar type|same dtype|dtype mismatch|Input type"
CURES: Sequence[tuple[str, str]] = (
    ("meta tensor|on meta", "give the model its weights first: load_state_dict(..., assign=True)"),
    ('required "forward"', "define forward() in the class, with this very name"),
    ("index out of range", "give a sample of indices that the model knows"),
    (DTYPES, "give the sample in the model's dtype: sample.float(), or sample.long() for indices"),
    (SHAPES, "give a sample of the shape that the model takes, its batch first"),
    ("tensors to be on the same device", "move the whole model: model.cpu()"),
)
UNSURE = Cause(
    "detections differ: among boxes whose scores or overlaps are all but equal, which are kept "
    "hangs on float32's last digit, as with weights that were never trained",
    "export the trained model, with a picture on which it is sure of what it finds",
)
FROZEN = Cause(
    "a size that should vary was fixed inside the graph",
    "in forward() take sizes from the input, x.shape[0] or x.flatten(1), not from a number; "
    "or fix them on purpose with static=True (--static)",
)
SCRIPTED = (
    "let TorchScript take forward(), which keeps the loop: type hints, tensors, methods; no "
    "lambdas, no **kwargs. Try it with torch.jit.script(model)"
)
ON_VALUES: Sequence[tuple[str, str]] = (
    (r"\.numpy\(|\bnp\.", "write it with torch in the place of numpy"),
    (r"^while ", SCRIPTED),
    (r"^assert |^raise ", "take the check out of forward(), to before the model is called"),
    (
        r"\.item\(|\.tolist\(|\bint\(|\bfloat\(|^for ",
        (
            "keep it a tensor, without .item(), int(tensor) and float(tensor): masks, "
            "torch.index_select, torch.where(condition, a, b)"
        ),
    ),
    (
        "",
        (
            "write it with tensors: torch.where(condition, a, b), or torch.cond for a branch; "
            "keep numpy, .item() and int(tensor) out of forward()"
        ),
    ),
)
ON_SIZES: Sequence[tuple[str, str]] = (
    (r"^for .*range\(", f"{SCRIPTED}; or fix the sizes on purpose with static=True (--static)"),
    (
        r"\bfor ",
        (
            "compute all rows at once, without a loop over them; or fix the sizes on purpose with "
            "static=True (--static)"
        ),
    ),
    (
        "",
        (
            "write it with tensors, without if, for and len() over sizes; or fix the sizes on "
            "purpose with static=True (--static)"
        ),
    ),
)


def _chose_others(attempt: Attempt) -> bool:
    """Whether a graph ran everywhere, and only kept other boxes than the model."""
    failed = [each for case in attempt.evidence for each in case.outputs if not each.passed]
    return any(each.output.endswith("boxes") and each.max_abs for each in failed)


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


def _unusual_dtype(model: torch.nn.Module) -> str:
    for tensor in model.parameters():
        if tensor.dtype in (torch.float64, torch.bfloat16, torch.float16):
            return str(tensor.dtype).removeprefix("torch.")
    return ""
