"""Describe a pack, its variants and their speed in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from onnxpack import units
from onnxpack.pack.manifest import Kept, Measurement, Recipe, Step, Timing

if TYPE_CHECKING:
    from onnxpack.pack.model import Pack


def describe_pack(pack: Pack) -> list[tuple[str, str]]:
    """Return the facts that a person wants first, each with a name."""
    manifest = pack.manifest
    if manifest is None:
        return [
            ("graph", str(pack.model_path)),
            (
                "proof",
                "none: this is not a pack, so nothing shows that it was compared with its original",
            ),
            ("next", f"onnxpack.Model({str(pack.path)!r})"),
        ]
    source, cases = manifest.source, manifest.parity.cases
    rtol = manifest.parity.tolerance.rtol
    passed = sum(case.passed for case in cases)
    return [
        ("source", f"{source.model_class}, {source.framework} {source.framework_version}"),
        ("signature", str(manifest.signature)),
        (
            "proof",
            f"{passed} of {len(cases)} cases passed at rtol {rtol:g}",
        ),
        ("next", f"onnxpack.Model({str(pack.path)!r})"),
    ]


def title_of(pack: Pack) -> str:
    """Return the name of a pack with its size and its variants: ``resnet18, 46.8 MB``."""
    variants = f", variants {', '.join(pack.variants)}" if pack.variants else ""
    size = f", {units.size(pack.size)}" if pack.manifest else ""
    return f"{pack.name}{size}{variants}"


def describe_steps(steps: Iterable[Step]) -> str:
    """Return each step with its options: ``quantize(weights=int8), fuse``."""
    return ", ".join(map(_step, steps))


def describe_kept(kept: Kept) -> str:
    """Return how much of the answers is kept: ``agreement 98.70%, at least 97.90% (1000 rows)``."""
    if kept.measure == "parity":
        return "equal within the pack's tolerance"
    return f"{kept.measure} {kept.value:.2%}, at least {kept.lower:.2%} ({kept.samples} rows)"


def describe_ratio(timing: Timing | None) -> str:
    """Return the speed relative to the reference: ``2.31 (2.20 to 2.42)``."""
    if timing is None or timing.ratio is None:
        return ""
    interval = "" if timing.interval is None else " ({:.2f} to {:.2f})".format(*timing.interval)
    return f"{timing.ratio:.2f}{interval}"


def describe_recipe(recipe: Recipe) -> str:
    """Return runtime, threads and processor with which a variant was judged."""
    precision = f" in {recipe.precision}" if recipe.precision else ""
    features = f" ({', '.join(recipe.features)})" if recipe.features else ""
    runtime = f"{recipe.runtime} {recipe.runtime_version}{precision}"
    return f"{runtime}, {_threads(recipe.threads)}, {recipe.processor}{features}"


def describe_conditions(measurement: Measurement) -> str:
    """Return where a measurement was made, and at which sizes."""
    dims = "".join(f"{name} = {size}, " for name, size in sorted(measurement.dims.items()))
    versions = ", ".join(f"{name} {number}" for name, number in measurement.versions.items())
    return (
        f"{dims}{_threads(measurement.threads)}, {measurement.provider} on "
        f"{measurement.processor}" + (f"; {versions}" if versions else "")
    )


def describe_seconds(seconds: float) -> str:
    """Return a duration with its unit: ``1.23 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def timing_row(timing: Timing) -> tuple[str, str, str, str]:
    """Return a timing as a row of a table: name, median, quartiles and ratio."""
    low, high = map(describe_seconds, timing.quartiles)
    return timing.name, describe_seconds(timing.seconds), f"{low} to {high}", describe_ratio(timing)


def _step(step: Step) -> str:
    options = ", ".join(f"{name}={value}" for name, value in sorted(step.options.items()))
    return f"{step.name}({options})" if options else step.name


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"
