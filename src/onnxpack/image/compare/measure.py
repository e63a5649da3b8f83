"""Compare a model's ONNX image with its PyTorch image: build, measure and start both.

Every image uses a base that is at hand, and all take their wheels from the same place. An onnxpack
build ends when the layout is on disk, an engine's build when the image is in its store. An image
whose answers differ from the pack's golden data is refused.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeAlias

from onnxpack.errors import ImageError, PackError
from onnxpack.image.base.debian import default_python
from onnxpack.image.base.open import Base, open_base
from onnxpack.image.build import Recipe, Told, build_image, with_variants
from onnxpack.image.cache import Cache, cold_cache
from onnxpack.image.compare.container import Trial, ask, compressed_size, stored_image, try_image
from onnxpack.image.compare.golden_request import GoldenRequest, golden_request
from onnxpack.image.compare.pytorch import (
    CPU_INDEX,
    FAIR,
    PLAIN,
    build_pytorch,
    pytorch_requirements,
    write_context,
)
from onnxpack.image.compare.table import OURS, Comparison, Row, name_of
from onnxpack.image.dockerfile import write_dockerfile
from onnxpack.image.engine import Engine, build_with, find_engine
from onnxpack.oci.image import Image
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.store.layout import write_layout
from onnxpack.pack.model import Pack

ONNX, PYTORCH, PLAIN_PYTORCH = "ONNX", "PyTorch", "PyTorch, plain Dockerfile"

Make: TypeAlias = Callable[[Cache], Image]


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings of a comparison.

    Attributes:
        base: base of the images that onnxpack builds.
        torch: PyTorch's requirement for each variant: ``cpu``, and ``cuda`` if it is asked for.
        image: base image of the Dockerfiles; None is python:X.Y-slim.
        wheels: folder that all wheels come from; None uses pip's and uv's settings.
        cache: whether layers of earlier builds may be reused.
        runs: how often each container is started.
    """

    base: str
    torch: dict[str, str]
    image: str | None = None
    wheels: Path | None = None
    cache: bool = True
    runs: int = 3


def compare_images(
    pack: Pack, program: Path, plan: Plan, *, cache: Cache | None = None, told: Told | None = None
) -> Comparison:
    """Build every image, start it if an engine answers, and measure.

    Args:
        pack: a pack with golden data.
        program: the same model, as ``program.pt`` or ``program.pt2``.
        plan: settings of the comparison.
        cache: cache of trees and layers; None uses the user's.
        told: called with the name of each step as it begins.

    Raises:
        PackError: the pack has no golden data.
        ImageError: the first image cannot be built, or an answer differs from the golden data.
    """
    # One model in two images is compared, so its variants are left out.
    pack = with_variants(pack, ())
    if pack.manifest is None or not pack.golden:
        raise PackError(
            f"{pack.path} is not a pack with golden data, which the comparison sends to the "
            "images.",
            remedy="onnxpack export SOURCE --sample SPEC",
        )
    cache = cache or Cache()
    # The cache removes what a killed comparison leaves in there.
    with cache.work() as work:
        context = work / "pytorch"
        write_context(program, pack.manifest.signature, context)
        base = open_base(plan.base, Platform.host(), cache, compression="gzip", mtime=0)
        bench = _Bench(
            pack, context, plan, cache, base, find_engine(), golden_request(pack), work,
            told or str,
        )  # fmt: skip
        rows: list[Row] = []
        try:
            failed = bench.build_into(rows)
            found, unstarted = bench.started(rows)
        finally:
            bench.clear(rows)
    versions = _versions(pack, plan, base, bench.engine)
    return Comparison(pack.name, tuple(found), versions, failed, unstarted)


@dataclass(frozen=True)
class _Bench:
    """Everything that the rows are measured with."""

    pack: Pack
    context: Path
    plan: Plan
    cache: Cache
    base: Base
    engine: Engine | None
    request: GoldenRequest
    work: Path
    told: Told

    def build_into(self, rows: list[Row]) -> dict[str, str]:
        """Add a row for each image that can be built; return why the others cannot be, by name."""
        failed = {}
        for name, make in chain.from_iterable(map(self.steps, self.plan.torch)):
            self.told(name)
            try:
                rows.append(make())
            except ImageError as exc:
                if not rows:  # all others are compared with the first
                    raise
                failed[name] = exc.message
        return failed

    def steps(self, variant: str) -> Iterator[tuple[str, Callable[[], Row]]]:
        """Yield for each row of a variant a name and a function that makes it, onnxpack's first."""
        yield (
            f"{ONNX}, {variant}, by {OURS}",
            partial(self._without_engine, ONNX, variant, self._make_onnx(variant)),
        )
        yield (
            f"{PYTORCH}, {variant}, by {OURS}",
            partial(self._without_engine, PYTORCH, variant, self._make_pytorch(variant)),
        )
        if self.engine is None:
            return
        given = {"REQUIREMENTS": " ".join(pytorch_requirements(self.plan.torch[variant]))}
        if variant == "cpu" and self.plan.wheels is None:
            given["PIP_EXTRA_INDEX_URL"] = CPU_INDEX
        context = self.work / f"onnx-{variant}"
        write_dockerfile(self.pack, context, runtime=variant, python=self.base.target.python)
        for image, folder, file, arguments in (
            (ONNX, context, FAIR, {"RUNTIME": variant}),
            (PYTORCH, self.context, FAIR, given),
            (PLAIN_PYTORCH, self.context, PLAIN, given),
        ):
            yield (
                f"{image}, {variant}, by {self.engine.name}",
                partial(
                    self._by_engine, self.engine.name, image, variant, folder, arguments, file=file
                ),
            )

    def _make_onnx(self, variant: str) -> Make:
        recipe = Recipe(self.plan.base, (Platform.host(),), variant)
        return lambda cache: build_image(self.pack, recipe, cache=cache).images[0]

    def _make_pytorch(self, variant: str) -> Make:
        options: Sequence[str] = ["--torch-backend", "cpu"] if variant == "cpu" else []
        if self.plan.wheels is not None:
            options = ["--no-index", "--find-links", str(self.plan.wheels.resolve())]
        pins = pytorch_requirements(self.plan.torch[variant])
        return lambda cache: build_pytorch(self.context, self.base, pins, cache, options=options)

    def _without_engine(self, image: str, variant: str, make: Make) -> Row:
        with self._cache() as cache, TemporaryDirectory(dir=self.work) as folder:
            begun = perf_counter()
            made = make(cache)
            write_layout(made, Path(folder) / "layout")
            seconds = perf_counter() - begun
            layers = len(made.layers)
            row = Row(image, OURS, variant, seconds, compressed=made.size, layers=layers)
            if self.engine is None:
                return replace(row, size=_unpacked_size(made))
            self.engine.load(made, Reference.parse(_name(row)))
        return replace(row, size=stored_image(self.engine.name, _name(row)).size)

    def _by_engine(
        self,
        engine: str,
        image: str,
        variant: str,
        context: Path,
        arguments: dict[str, str],
        *,
        file: str,
    ) -> Row:
        name = _name(row := Row(image, engine, variant))
        base = {} if self.plan.image is None else {"BASE": self.plan.image}
        seconds = build_with(
            engine, context, name, arguments={**base, **arguments}, wheels=self.plan.wheels,
            cache=self.plan.cache, file=file,
        )  # fmt: skip
        stored = stored_image(engine, name)
        compressed = compressed_size(engine, name, self.work)
        return replace(
            row, build_seconds=seconds, size=stored.size, compressed=compressed,
            layers=stored.layers,
        )  # fmt: skip

    def started(self, rows: Sequence[Row]) -> tuple[list[Row], dict[str, str]]:
        """Return the rows with measured starts, and why others have none, by name.

        Starts are taken in rounds since a machine's speed drifts. A container that does not start,
        as in a rootless engine without the right limits, costs neither the other rows nor its own
        size and time to build.

        Raises:
            ImageError: an answer differs from the golden data.
        """
        if self.engine is None:
            return list(rows), {}
        engine, request = self.engine.name, self.request
        trials: dict[Row, list[Trial]] = {row: [] for row in rows}
        unstarted: dict[Row, str] = {}
        for turn in range(self.plan.runs):
            self.told(f"starting each, {turn + 1} of {self.plan.runs}")
            for row in rows:
                if row in unstarted:
                    continue
                try:
                    trial = try_image(engine, _name(row), request.path, request.body)
                except ImageError as exc:
                    unstarted[row] = exc.message
                    continue
                request.check(trial.answer, name=_name(row))
                trials[row].append(trial)
        found = [row if row in unstarted else _with_trials(row, trials[row]) for row in rows]
        return found, {name_of(row): why for row, why in unstarted.items()}

    def clear(self, rows: Sequence[Row]) -> None:
        """Remove the images, which were built only for the comparison."""
        if self.engine is not None:
            for row in rows:
                ask(self.engine.name, "rmi", "-f", _name(row))

    @contextmanager
    def _cache(self) -> Iterator[Cache]:
        if self.plan.cache:
            yield self.cache
        else:
            with cold_cache(self.cache) as fresh:
                yield fresh


def _name(row: Row) -> str:
    kind = {ONNX: "onnx", PYTORCH: "pytorch", PLAIN_PYTORCH: "pytorch-plain"}[row.image]
    return f"localhost/onnxpack-compare:{kind}-{row.variant}-{row.builder}"


def _with_trials(row: Row, trials: Sequence[Trial]) -> Row:
    seen = [trial.memory for trial in trials if trial.memory is not None]
    return replace(
        row,
        start_seconds=statistics.median(trial.seconds for trial in trials),
        memory=int(statistics.median(seen)) if seen else None,
    )


def _unpacked_size(image: Image) -> int:
    total = 0
    for layer in image.layers:
        with layer.unpacked() as plain:
            while block := plain.read(2**20):
                total += len(block)
    return total


def _versions(pack: Pack, plan: Plan, base: Base, engine: Engine | None) -> dict[str, str]:
    found = {
        "onnxpack": version("onnxpack"),
        "model": f"{pack.name}, {pack.digest}",
        "Python": base.target.python,
        "onnxruntime": version("onnxruntime"),
        **{f"PyTorch ({variant})": torch for variant, torch in plan.torch.items()},
        "base by onnxpack": base.name,
    }
    if engine is not None:
        template = "{{.Server.Version}}" if engine.name == "docker" else "{{.Client.Version}}"
        found[engine.name] = ask(engine.name, "version", "--format", template)
        found[f"base by {engine.name}"] = plan.image or f"python:{default_python()}-slim"
    return found
