"""The main function of a benchmark: open the pack, run both models, time them, and report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.benchmark.clock import Call, Timed, interleave
from onnxpack.benchmark.inputs import BATCH, resize, sizes_asked
from onnxpack.benchmark.machine import BUSY, load, processor
from onnxpack.benchmark.outcome import BASE, PACK, Outcome, Point, Row
from onnxpack.benchmark.profile import profile as profile_graph
from onnxpack.benchmark.ratio import to_timings
from onnxpack.benchmark.start import Source, measure_start
from onnxpack.comparison.distance import distance
from onnxpack.errors import UsageError
from onnxpack.exporters.exclusive import exclusive
from onnxpack.exporters.restored import open_beside
from onnxpack.pack.manifest import Timing
from onnxpack.pack.model import Pack
from onnxpack.parity.subject import Baseline, Subject
from onnxpack.runtime.doctor import installed_versions
from onnxpack.runtime.model import Model
from onnxpack.runtime.providers import AUTO
from onnxpack.signature import Array

SECONDS = 3.0
PERCENTILES = (50, 90, 95, 99)


@exclusive()
def bench(
    pack: Pack | str | Path,
    against: Any = None,
    *,
    sample: Any = None,
    batch: Sequence[int] = (),
    sizes: Mapping[str, Sequence[int]] | None = None,
    threads: int | None = None,
    provider: str = AUTO,
    variant: str = AUTO,
    seconds: float = SECONDS,
    profile: bool = False,
    starts: Sequence[Source] = (),
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Time a pack and the model that it was made from.

    Both are run alternately, block by block, on the same inputs and with the same number of
    threads. The inputs are the pack's golden data, repeated or cut to each size. The framework's
    model is run in the ways that its users know: PyTorch's eager, channels-last, ``torch.compile``
    and bfloat16; scikit-learn's and boosters' own methods; ``jax.jit``.

    Args:
        pack: a pack or its path, with golden data.
        against: the model that was exported; None times only the pack.
        sample: the sample of the export, if the inputs have a structure of their own.
        batch: sizes of the batch; by default 1.
        sizes: sizes of other dynamic dims, by name; every combination is timed.
        threads: threads of one operator, for everything that is timed; by default what CPU affinity
            and quota allow.
        provider: execution provider of the pack.
        variant: which of the pack's graphs is timed; the proven graph is always timed too.
        seconds: how long each way is timed at each size, approximately.
        profile: whether to report which operators take the time.
        starts: what to start in fresh processes.
        progress: called with a line of text for each phase.

    Returns:
        The results. The reference of all ratios is the framework's usual way; if only the pack is
        timed, there is none.

    Raises:
        UsageError: golden data is missing, a dim does not exist, or the framework's number of
            threads cannot be set.
        SampleError: the golden data is not a sample of the model, and no sample is given.
        ParityError: the model's answers differ from the pack's.
    """
    say = progress or _silent
    busy = load()
    model = Model(pack, provider=provider, threads=threads, variant=variant)
    base = None
    if model.variant is not None:
        base = Model(model.pack, provider=provider, threads=threads, variant="base")
    golden = model.example()
    asked = dict(sizes or {})
    if batch:
        if BATCH in asked:
            raise UsageError(
                f"the batch size is given twice: {list(batch)} and {list(asked[BATCH])}."
            )
        asked = {BATCH: batch, **asked}
    points = sizes_asked(model.signature, golden, asked)
    with _beside(model, against, golden, sample, say) as subject:
        measured = tuple(
            _measure(model, base, subject, golden, dims, seconds, say) for dims in points
        )
    first = resize(model.signature, golden, points[0])
    return Outcome(
        pack=model.name,
        variant=model.variant,
        digest=model.pack.digest,
        framework=f"{subject.framework} {subject.framework_version}" if subject else "",
        threads=model.threads,
        provider=model.provider,
        processor=processor(),
        versions=installed_versions(_packages(subject)),
        points=measured,
        starts=tuple(measure_start(source, first, say) for source in starts),
        operators=profile_graph(model.pack, first, threads=model.threads) if profile else (),
        notes=(*model.notes, *_doubts(busy)),
    )


@contextmanager
def _beside(
    model: Model, against: Any, golden: Mapping[str, Array], sample: Any, say: Callable[[str], None]
) -> Iterator[Subject | None]:
    """Yield the framework's model on as many threads as the pack; None without a model."""
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if against is None:
            yield None
            return
        say("running the framework's model")
        opened = open_beside(model.pack, model.signature, against, golden, sample)
        subject = stack.enter_context(opened)
        stack.enter_context(subject.limited(model.threads))
        yield subject


def _measure(
    model: Model,
    base: Model | None,
    subject: Subject | None,
    golden: Mapping[str, Array],
    dims: Mapping[str, int],
    seconds: float,
    say: Callable[[str], None],
) -> Point:
    feeds = resize(model.signature, golden, dims)
    answer = model.run(feeds)
    calls: dict[str, Call] = {}
    rows: dict[str, Row] = {}
    at = ", ".join(f"{name}={size}" for name, size in dims.items()) or "fixed sizes"
    for baseline in subject.baselines() if subject else ():
        say(f"{at}: {baseline.name}")
        rows[baseline.name], call = _prepare(baseline, feeds, answer)
        if call is not None:
            calls[baseline.name] = call
    if base is not None:
        rows[BASE] = Row(BASE, difference=_difference(base.run(feeds), answer))
        calls[BASE] = partial(base.run, feeds)
    rows[PACK] = Row(PACK)
    calls[PACK] = partial(model.run, feeds)
    say(f"{at}: timing {len(calls)} in turn")
    timed = interleave(calls, seconds=seconds)
    for timing in to_timings(timed):
        rows[timing.name] = _filled(rows[timing.name], timing, timed[timing.name], dims.get(BATCH))
    return Point(dict(dims), tuple(rows.values()))


def _prepare(
    baseline: Baseline, feeds: Mapping[str, Array], answer: Mapping[str, Array]
) -> tuple[Row, Call | None]:
    """Return the row without its timing, and the call; the call is None if the framework fails."""
    try:
        call = baseline.prepare(feeds)
        given = call()
    except Exception as exc:  # noqa: BLE001 - a framework can fail in any way; it is reported
        lines = str(exc).strip().splitlines() or [""]
        return Row(baseline.name, failure=f"{type(exc).__name__}: {lines[0]}"), None
    return Row(baseline.name, difference=_difference(given, answer)), call


def _filled(row: Row, timing: Timing, timed: Timed, batch: int | None) -> Row:
    return replace(
        row,
        timing=timing,
        percentiles={percent: timed.percentile(percent) for percent in PERCENTILES},
        rate=batch / timing.seconds if batch else None,
    )


def _difference(given: object, answer: Mapping[str, Array]) -> float | None:
    """Return the distance of an answer from the pack's; None if the outputs do not match."""
    arrays = list(_arrays(given))
    expected = [array for array in answer.values() if array.dtype.kind in "fiu"]
    if len(arrays) != len(answer) or len(expected) != len(answer):
        # An estimator's method returns only one of several outputs.
        expected = [each for each in expected if len(arrays) == 1 and each.shape == arrays[0].shape]
        expected = [each for each in expected if each.dtype.kind == "f"][:1]
    if len(expected) != len(arrays) or any(
        mine.shape != other.shape for mine, other in zip(expected, arrays, strict=True)
    ):
        return None
    pairs = zip(expected, arrays, strict=True)
    return max((distance(mine, other.astype(mine.dtype)) for mine, other in pairs), default=None)


def _arrays(given: object) -> Iterator[Array]:
    """Yield the arrays of a framework's answer, in order."""
    if isinstance(given, Mapping):
        for value in given.values():
            yield from _arrays(value)
    elif isinstance(given, list | tuple):
        for value in given:
            yield from _arrays(value)
    elif hasattr(given, "detach"):
        yield given.detach().float().cpu().numpy()
    elif hasattr(given, "__array__"):
        found = np.asarray(given)
        if found.dtype.kind in "fiu":
            yield found


def _doubts(busy: float) -> Iterator[str]:
    if busy > BUSY:
        yield (
            f"the machine was busy: {busy:.1f} processes ran on each core before the first "
            "timing; on an idle machine the intervals are narrower"
        )


def _packages(subject: Subject | None) -> list[str]:
    names = {"lightning": ("torch", "lightning"), "sklearn": ("scikit-learn",)}
    own = names.get(subject.framework, (subject.framework,)) if subject else ()
    return ["onnxpack", "onnxruntime", "numpy", *own]


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore warnings: at each of a thousand calls they would be timed and flood the terminal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _silent(_: str) -> None:
    return None
