"""Writers that are killed at random moments, meet a full disk, or meet each other."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from trial import Trial, run

KILLS = 30
SIZES = (0, 4, 16, 64, 128, 256, 1024, 4096, 16_384, 32_768)
"""Kilobytes that the full disks hold."""


def kills(pack: Path, onnx_file: Path, work: Path) -> Iterator[Trial]:
    """Kill exports, rewrites and image builds; the next run has to work, and nothing be lost."""
    layout, made = work / "layout", work / "made"
    base = ("--base", "debian") if shutil.which("mmdebstrap") else ()
    cache = {"XDG_CACHE_HOME": str(work / "cache")}
    yield from _killed(
        "export", ("export", str(onnx_file), "-o", str(made), "--force"), lambda: _sound(made)
    )
    optimized = work / "optimized"
    yield from _killed(
        "optimize",
        ("optimize", str(pack), "-o", str(optimized), "--passes", "rewrite", "--force"),
        lambda: _sound(optimized),
    )
    yield from _killed(
        "image", ("image", str(pack), "-o", str(layout), "--force", *base),
        lambda: _whole(layout), cache,
    )  # fmt: skip


def _killed(
    name: str, line: tuple[str, ...], check: Callable[[], str], environment: Mapping[str, str] = {}
) -> Iterator[Trial]:
    code, said, seconds, memory = run(line, environment)
    if code:
        yield Trial(f"{name}, not killed", said.strip().splitlines()[-1][:200], seconds, memory)
        return
    chosen = random.Random(0)
    for number in range(KILLS):
        after = chosen.uniform(0, seconds)
        _kill(line, after, environment)
        fault = check()
        if number == KILLS - 1 and not fault:
            code, said, *_ = run(line, environment)
            fault = said.strip().splitlines()[-1][:200] if code else check()
        yield Trial(f"{name}, killed after {after:.2f} s", fault, seconds, memory)


def _kill(line: tuple[str, ...], after: float, environment: Mapping[str, str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "onnxpack", *line], env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _sound(folder: Path) -> str:
    code, said, *_ = run(("check", str(folder)))
    return said.strip().splitlines()[-1][:200] if code else ""


def _whole(layout: Path) -> str:
    """Return the faults of a layout; empty if it is whole."""
    from onnxpack.oci.store.validate import validate_layout

    return "; ".join(validate_layout(layout))


def full_disks(pack: Path, onnx_file: Path, work: Path) -> Iterator[Trial]:
    """Write to disks of several sizes; there is one whole result or none, and a clear error."""
    for kilobytes in SIZES:
        with _disk(work / "disk", kilobytes) as disk:
            for name, line in (
                ("export", ("export", str(onnx_file), "-o", str(disk / "made"))),
                ("image", ("image", str(pack), "-o", str(disk / "image.tar"))),
                ("cache", ("image", str(pack), "-o", str(work / "made"), "--force")),
            ):
                cache = disk if name == "cache" else work / "cache"
                environment = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(work)}
                code, said, seconds, memory = run(line, environment)
                fault = _half(code, said, disk / "made", disk / "image.tar")
                yield Trial(f"{name} to a disk of {kilobytes} kB", fault, seconds, memory)
                for path in disk.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _disk(at: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a small disk; needs to be root."""
    at.mkdir(exist_ok=True)
    size = f"size={max(kilobytes, 4)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def _half(code: int, said: str, *results: Path) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if code not in (0, 2):
        return f"exit code {code}: {said.strip().splitlines()[-1][:150]}"
    left = [path.name for path in results if path.exists()] if code else []
    return f"{', '.join(left)} was left" if left else ""


def meetings(pack: Path, work: Path) -> Iterator[Trial]:
    """Build on one cold cache twice at once, twice; both builds give the same image."""
    for number in range(2):
        cache = {"XDG_CACHE_HOME": str(work / f"shared-{number}")}
        begun = perf_counter()
        outputs = [work / f"both-{number}-{each}.tar" for each in range(2)]
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "onnxpack", "image", str(pack), "-o", str(output)],
                env={**os.environ, **cache}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for output in outputs
        ]  # fmt: skip
        said = [process.communicate()[0].decode(errors="replace") for process in running]
        fault = "; ".join(
            text.strip().splitlines()[-1][:200]
            for process, text in zip(running, said, strict=True)
            if process.returncode
        )
        if not fault and outputs[0].read_bytes() != outputs[1].read_bytes():
            fault = "the two images differ"
        yield Trial(f"cold builds at once, {number + 1}", fault, perf_counter() - begun, 0)
