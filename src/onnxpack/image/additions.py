"""What a user adds to the images of packs: variables, labels and gRPC."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from onnxpack.errors import UsageError
from onnxpack.image.runtime.layer import PREFIX

ENVIRONMENT = {
    "PYTHONPATH": f"/{PREFIX}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
"""The variables that every image has."""
_OCI = "org.opencontainers.image."
LABELS = frozenset(
    f"{_OCI}{name}"
    for name in ("title", "version", "description", "licenses", "base.name", "base.digest")
)
"""The labels that state what an image is made of; so do those that begin with ``onnxpack.``."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL = re.compile(r"[A-Za-z0-9]+([._/-]+[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Additions:
    """What an image gets in addition to its packs.

    Attributes:
        env: environment variables and their values.
        labels: labels and their values.
        grpc: whether the image includes what gRPC needs, and serves it on port 8001.

    Raises:
        UsageError: a name or value cannot be used, or onnxpack sets this name itself.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    grpc: bool = False

    def __post_init__(self) -> None:
        _check("--env", self.env, _VARIABLE, "letters, digits and _", ENVIRONMENT)
        own = LABELS | {name for name in self.labels if name.startswith("onnxpack.")}
        _check("--label", self.labels, _LABEL, "letters and digits, with ., _, / or - between", own)


def read_pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return the names and values of ``NAME=VALUE``.

    Raises:
        UsageError: a text has another form, or two have the same name.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{option} {text!r} is not NAME=VALUE.")
        if name in found:
            raise UsageError(f"{option} {name} is given twice: {found[name]!r} and {value!r}.")
        found[name] = value
    return found


def _check(
    option: str,
    given: Mapping[str, str],
    pattern: re.Pattern[str],
    wanted: str,
    own: Collection[str],
) -> None:
    for name, value in given.items():
        if not pattern.fullmatch(name):
            raise UsageError(f"{option} {name!r} is not a valid name: expected {wanted}.")
        if name in own:
            raise UsageError(
                f"{option} {name} is refused: onnxpack sets it itself, so that the image "
                f"{'starts' if option == '--env' else 'states what is in it'}."
            )
        # Neither a Dockerfile nor every engine can hold them; surrogates are bytes of no text.
        if not value.replace("\t", " ").isprintable():
            raise UsageError(f"{option} {name} has the value {value!r}: expected one line of text.")
