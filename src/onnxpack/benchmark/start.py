"""Measure a fresh process: the time to its first prediction, and its peak memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from onnxpack.benchmark.outcome import Start
from onnxpack.errors import OnnxpackError, WorkerError
from onnxpack.signature import Array

TIMES = 3
"""Number of processes that are started; the median counts."""
LIMIT = 600
"""Seconds within which a process must answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a fresh process loads: a pack, or the framework's model.

    Attributes:
        name: name of the row.
        pack: path of the pack, whose golden data is the model's input.
        threads: number of threads.
        variant: variant of the pack.
        target: TARGET as on the command line; None for the pack itself.
        class_name: as for ``load_target``.
        trust: as for ``load_target``.
        sample: SPECs of the sample; empty if the golden data is a sample.
    """

    name: str
    pack: str
    threads: int
    variant: str = "auto"
    target: str | None = None
    class_name: str | None = None
    trust: bool = False
    sample: tuple[str, ...] = ()


def measure_start(
    source: Source, feeds: Mapping[str, Array], say: Callable[[str], None] = lambda _: None
) -> Start:
    """Start a process that loads the model and answers once, a few times.

    Args:
        source: what the process loads.
        feeds: inputs of the model.
        say: called with a line of text.

    Raises:
        WorkerError: a process ended without an answer.
    """
    say(f"starting processes: {source.name}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "feeds.npz"
        np.savez(path, **dict(feeds))  # type: ignore[arg-type]
        found = [_start(source, path) for _ in range(TIMES)]
    seconds, memory = zip(*found, strict=True)
    return Start(source.name, statistics.median(seconds), max(memory))


def _start(source: Source, feeds: Path) -> tuple[float, int]:
    # Byte code is cached, as for an installed package.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = str(source.threads)
    command = [sys.executable, "-W", "ignore", "-m", __name__, json.dumps(asdict(source))]
    begun = perf_counter()
    with subprocess.Popen(
        [*command, str(feeds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        if process.stdout is None:
            raise TypeError("the process has no standard output")
        line = process.stdout.readline()
        ended = perf_counter() - begun
        _, said = process.communicate(timeout=LIMIT)
    if process.returncode or not line:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        raise WorkerError(f"a fresh process of {source.name} did not answer: {last[0]}.")
    return ended, int(line)


def main(source: Source, feeds: Path) -> None:
    """Predict once, and print the peak memory of the process, in bytes."""
    with np.load(feeds, allow_pickle=True) as archive:  # written by our parent process
        arrays = {name: archive[name] for name in archive.files}
    answer = sys.stdout
    sys.stdout = sys.stderr  # keep output of the model's code away from the answer
    _ask(source, arrays)
    print(_peak(), file=answer, flush=True)


def _ask(source: Source, arrays: Mapping[str, Array]) -> None:
    if source.target is None:
        from onnxpack.runtime.model import Model

        Model(source.pack, threads=source.threads, variant=source.variant).run(arrays)
        return
    from onnxpack.exporters.choose import exporter_for
    from onnxpack.exporters.restored import restore
    from onnxpack.exporters.target.load import load_target
    from onnxpack.exporters.target.sample import read_sample
    from onnxpack.pack.read import open_pack

    model = load_target(source.target, class_name=source.class_name, trust=source.trust).model
    pack = open_pack(source.pack)
    sample = read_sample(source.sample) if source.sample else restore(pack, arrays)
    with exporter_for(model, sample).open(model, sample) as subject:
        next(subject.baselines()).prepare(arrays)()


def _peak() -> int:
    """Return the peak memory of this process: VmHWM, since ru_maxrss includes the parent's."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    try:
        main(Source(**{**told, "sample": tuple(told["sample"])}), Path(sys.argv[2]))
    except OnnxpackError as exc:
        sys.exit(exc.message)
