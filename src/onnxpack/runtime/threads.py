"""Find how many threads this process may use: CPU affinity and the quota of its control group.

onnxruntime sizes its thread pool by the host's cores. In a container that may use two of sixty-four
cores, sixty-four threads then wait for each other.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class CpuBudget:
    """The processors that a process may use.

    Attributes:
        online: number of the machine's cores.
        affinity: number of cores on which this process may be scheduled.
        quota: processor seconds per second that its control groups allow; None without a limit.
    """

    online: int
    affinity: int
    quota: float | None

    @property
    def threads(self) -> int:
        """The number of threads that neither wait for each other nor leave a core idle."""
        allowed = self.affinity if self.quota is None else math.floor(self.quota)
        return max(1, min(self.affinity, allowed))


def read_budget(root: Path = Path("/")) -> CpuBudget:
    """Return the processor budget of this process.

    Args:
        root: where ``proc`` and the control groups are mounted; tests pass their own tree.
    """
    online = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else online
    return CpuBudget(online=online, affinity=affinity, quota=read_quota(root))


def read_quota(root: Path = Path("/")) -> float | None:
    """Return the smallest quota of this process's control groups and their parents.

    Versions 1 and 2 are supported, also both at once. Files that cannot be read or parsed set no
    limit.

    Args:
        root: where ``proc`` and the control groups are mounted.
    """
    own = _own_groups(_read(root / "proc/self/cgroup"))
    mounts = tuple(_mounts(_read(root / "proc/self/mountinfo")))
    quotas = [
        quota
        for version, read in ((2, _quota_v2), (1, _quota_v1))
        for folder in _folders(
            [mount for mount in mounts if mount.version == version], own.get(version)
        )
        if (quota := read(root / folder.relative_to("/"))) is not None
    ]
    return min(quotas, default=None)


@dataclass(frozen=True, slots=True)
class _Mount:
    version: int
    root: PurePosixPath
    point: PurePosixPath


def _own_groups(text: str) -> dict[int, PurePosixPath]:
    """Return this process's control group for each version, from ``/proc/self/cgroup``."""
    groups = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not path.startswith("/"):
            continue
        if number == "0" and not controllers:
            groups[2] = _absolute(path)
        elif "cpu" in controllers.split(","):
            groups[1] = _absolute(path)
    return groups


def _mounts(text: str) -> Iterator[_Mount]:
    """Yield the mounts with processor quotas, from ``/proc/self/mountinfo``."""
    for line in text.splitlines():
        place, _, kind = line.partition(" - ")
        before, after = place.split(" "), kind.split(" ")
        if len(before) < 5 or len(after) < 3:
            continue
        root, point = (_absolute(_unescape(field)) for field in before[3:5])
        if ".." in point.parts:
            continue
        if after[0] == "cgroup2":
            yield _Mount(2, root, point)
        elif after[0] == "cgroup" and "cpu" in after[2].split(","):
            yield _Mount(1, root, point)


def _folders(mounts: list[_Mount], own: PurePosixPath | None) -> Iterator[PurePosixPath]:
    """Yield the folders of a control group and of its parents, for each mount that shows it."""
    showing = [mount for mount in mounts if own and own.is_relative_to(mount.root)]
    # A container often sees its group by the host's name, but only its own group's folder.
    for mount in showing or mounts:
        inside = own.relative_to(mount.root) if own and showing else PurePosixPath()
        if ".." in inside.parts:
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield mount.point / part


def _quota_v2(folder: Path) -> float | None:
    fields = _read(folder / "cpu.max").split()
    return _ratio(*fields) if len(fields) == 2 else None


def _quota_v1(folder: Path) -> float | None:
    quota = _read(folder / "cpu.cfs_quota_us")
    period = _read(folder / "cpu.cfs_period_us")
    return _ratio(quota.strip(), period.strip())


def _ratio(quota: str, period: str) -> float | None:
    if not (re.fullmatch(r"[0-9]{1,18}", quota) and re.fullmatch(r"[0-9]{1,18}", period)):
        return None
    return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None


def _absolute(path: str) -> PurePosixPath:
    return PurePosixPath("/" + path.lstrip("/"))


def _unescape(field: str) -> str:
    r"""Return a mountinfo field with escapes replaced, such as ``\040`` for a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
