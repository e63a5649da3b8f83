"""The oldest versions of libraries that load a file of a stranger without a known hole.

``pyproject.toml`` requires the same versions, but a library may have been installed before, or by
another package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from onnxpack.errors import TargetError


@dataclass(frozen=True, slots=True)
class Floor:
    """The first release without known holes, and the newest advisory that it answers."""

    release: str
    advisory: str


_LIGHTNING = Floor("2.6.6", "CVE-2026-58659: hyper-parameters of a checkpoint import any module")
FLOORS = {
    "keras": Floor("3.15.1", "CVE-2026-1462 and later holes in the safe mode of load_model"),
    "lightning": _LIGHTNING,
    "pytorch-lightning": _LIGHTNING,
    "skops": Floor("0.15", "the nodes of a tree reach into memory; CVE-2025-54412 before 0.12"),
    "torch": Floor("2.10", "CVE-2026-24747: weights_only corrupts memory"),
    "transformers": Floor("5.10.1", "CVE-2026-4372 and CVE-2026-5241: a config runs code of a hub"),
}


def require_floor(name: str) -> None:
    """Refuse to load an untrusted file with a release that has a known hole.

    Raises:
        TargetError: the installed release is older than the floor, or a pre-release of it.
    """
    try:
        found = version(name)
    except PackageNotFoundError:
        return  # the loader reports what is missing
    floor = FLOORS[name]
    if _is_older(found, floor.release):
        raise TargetError(
            f"{name} {found} can run code that a file holds ({floor.advisory}), expected "
            f"{floor.release} or newer.",
            remedy=f"pip install '{name}>={floor.release}'",
        )


def _is_older(found: str, floor: str) -> bool:
    """Compare by the release segments of PEP 440; what has none is older."""
    match = re.match(r"v?(?:\d+!)?(\d+(?:\.\d+)*)(.*)", found)
    if match is None:
        return True
    numbers, least = _numbers(match[1]), _numbers(floor)
    early = re.match(r"[-_.]?(a|b|c|rc|alpha|beta|pre|preview|dev)", match[2]) is not None
    return numbers < least or (numbers == least and early)


def _numbers(release: str) -> tuple[int, ...]:
    """Return the numbers of a release without trailing zeros: 2.10 and 2.10.0 are one."""
    return tuple(map(int, re.sub(r"(\.0+)+$", "", release).split(".")))
