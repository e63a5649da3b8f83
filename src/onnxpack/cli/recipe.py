"""Parse the values of options, such as axes, sizes, labels and preprocessing."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.comparison.tolerance import Tolerance
    from onnxpack.pack.manifest import Preprocess

IMAGENET = "imagenet"
MAX_BYTES = 2**26
_AXIS = re.compile(r"(?P<input>.+):(?P<axis>\d+)=(?P<dim>[^=:]+)")


def parse_axes(text: str) -> dict[str, dict[int, str]]:
    """Parse ``ids:1=tokens,mask:1=tokens``: return the axes to name, for each input.

    Raises:
        UsageError: a part is not INPUT:AXIS=NAME.
    """
    axes: dict[str, dict[int, str]] = {}
    for part in filter(None, text.split(",")):
        match = _AXIS.fullmatch(part.strip())
        if match is None:
            raise UsageError(
                f"--dynamic {part!r} is not INPUT:AXIS=NAME.", remedy="--dynamic ids:1=tokens"
            )
        axes.setdefault(match["input"], {})[int(match["axis"])] = match["dim"]
    return axes


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Parse ``1,8,32``: return the numbers, each only once.

    Args:
        option: option to name in the message; it may end in ``=``.
        text: the value of the option.

    Raises:
        UsageError: a part is not a positive whole number.
    """
    counts = tuple(int(part) if part.strip().isdecimal() else 0 for part in text.split(","))
    if 0 in counts:
        joined = "" if option.endswith("=") else " "
        raise UsageError(
            f"{option}{joined}{text} is not a list of sizes: expected whole numbers of at least "
            "1, separated by commas.",
            remedy=f"{option}{joined}1,8,32",
        )
    return tuple(dict.fromkeys(counts))


def parse_sizes(text: str) -> tuple[str, tuple[int, ...]]:
    """Parse ``tokens=32,128``: return the name of a dynamic dim and its sizes.

    Raises:
        UsageError: the text is not NAME=N,N.
    """
    name, equals, counts = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--size {text!r} is not NAME=N,N.", remedy="--size tokens=32,128")
    return name.strip(), parse_counts(f"--size {name}=", counts)


def parse_names(text: str) -> tuple[str, ...]:
    """Parse ``boxes,scores``: return the names.

    Raises:
        UsageError: a name before, between or after the commas is missing.
    """
    names = tuple(name.strip() for name in text.split(","))
    if "" in names:
        raise UsageError(f"{text!r} is not a list of names: expected NAME,NAME.")
    return names


def make_tolerance(rtol: float | None, atol: float | None) -> Tolerance:
    """Return the default tolerance with the given values replaced."""
    from onnxpack.comparison.tolerance import Tolerance

    default = Tolerance()
    return Tolerance(
        rtol=default.rtol if rtol is None else rtol, atol=default.atol if atol is None else atol
    )


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the names of the classes: a JSON list of text, or one name on each line.

    Raises:
        UsageError: the file cannot be read, or has no names.
    """
    import msgspec

    text = _read(path, "labels")
    try:
        is_list = text.lstrip().startswith("[")
        labels = msgspec.json.decode(text, type=list[str]) if is_list else text.splitlines()
    except msgspec.DecodeError as exc:
        raise UsageError(f"{path} is not a JSON list of labels: {exc}.") from exc
    if not labels:
        raise UsageError(f"{path} contains no labels.")
    return tuple(labels)


def read_preprocess(text: str) -> Preprocess:
    """Return the preprocessing of this name (``imagenet``), or from this JSON file.

    Raises:
        UsageError: the file does not exist, or has a wrong or unknown field.
    """
    import msgspec

    from onnxpack.pack.manifest import Preprocess

    if text == IMAGENET:
        return Preprocess(
            resize=256, crop=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
        )
    path = Path(text)
    content = _read(path, "preprocess")
    try:
        given = msgspec.json.decode(content, type=dict[str, Any])
        found = msgspec.json.decode(content, type=Preprocess)
    except msgspec.DecodeError as exc:
        raise UsageError(f"{path} does not say how to prepare a picture: {exc}.") from exc
    known = Preprocess.__struct_fields__
    for name in given:
        # Only a manifest can have fields of later versions.
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UsageError(
                f"{path} has a field {name!r}, expected only {', '.join(known)}.{hint}"
            )
    return found


def _read(path: Path, option: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"--{option} {path} is larger than {MAX_BYTES} bytes.")
        return content.decode()
    except OSError as exc:
        raise UsageError(f"--{option} {path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"--{option} {path} is not UTF-8 text: {exc.reason}.") from exc
