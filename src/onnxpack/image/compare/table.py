"""The result of a comparison of images: rows, ratios, and their text forms."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

OURS = "onnxpack"


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one image.

    Attributes:
        image: what the image contains.
        builder: ``onnxpack``, or the engine.
        variant: ``cpu`` or ``cuda``.
        build_seconds: until the image is in a layout, or in the engine's store.
        size: bytes on disk, unpacked.
        compressed: bytes in a registry.
        layers: number of layers.
        start_seconds: from ``run`` to the first prediction; None without an engine.
        memory: resident bytes after the first prediction; None if they cannot be read.
    """

    image: str
    builder: str
    variant: str
    build_seconds: float = 0.0
    size: int = 0
    compressed: int = 0
    layers: int = 0
    start_seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The rows of a comparison; the first row is the ONNX image by onnxpack.

    Attributes:
        model: name of the model.
        rows: measurements, one row an image.
        versions: names and versions of what was compared.
        failed: names of the images that could not be built, and why.
        unstarted: names of the images whose container did not start and answer, and why.
    """

    model: str
    rows: tuple[Row, ...]
    versions: dict[str, str]
    failed: dict[str, str] = field(default_factory=dict)
    unstarted: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the comparison as a JSON document."""
        return json.dumps({**asdict(self), "ratios": ratios(self.rows)}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Return the comparison as Markdown: two tables and the versions."""
        told = [f"- {name}: {value}" for name, value in self.versions.items()]
        told += [f"- not built: {name}" for name in self.failed]
        told += [f"- not started: {name}" for name in self.unstarted]
        return "\n".join(
            [
                *_markdown(HEADS, [cells(row) for row in self.rows]), "",
                *_markdown(RATIO_HEADS, ratio_cells(self.rows)), "", *told, "",
            ]
        )  # fmt: skip


HEADS = (
    "image", "built by", "variant", "build s", "MB", "compressed MB", "layers",
    "first prediction s", "memory MB",
)  # fmt: skip
RATIO_HEADS = ("to ONNX by onnxpack", "build", "size", "compressed", "first prediction", "memory")
_MEASURES: tuple[Callable[[Row], float | None], ...] = (
    lambda row: row.build_seconds,
    lambda row: row.size,
    lambda row: row.compressed,
    lambda row: row.start_seconds,
    lambda row: row.memory,
)


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row as text."""
    return (
        row.image, row.builder, row.variant, f"{row.build_seconds:.2f}", _megabytes(row.size),
        _megabytes(row.compressed), str(row.layers),
        "" if row.start_seconds is None else f"{row.start_seconds:.2f}", _megabytes(row.memory),
    )  # fmt: skip


def ratios(rows: Sequence[Row]) -> list[dict[str, float | str | None]]:
    """Return the ratios of each row to the first: how many times as much the row takes."""
    first = rows[0]
    names = ("build", "size", "compressed", "start", "memory")
    return [
        {"image": name_of(row)}
        | {
            name: _ratio(measure(row), measure(first))
            for name, measure in zip(names, _MEASURES, strict=True)
        }
        for row in rows[1:]
    ]


def ratio_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the ratios as text cells."""
    return [
        tuple(
            value if isinstance(value, str) else "" if value is None else f"{value:.1f} ×"
            for value in found.values()
        )
        for found in ratios(rows)
    ]


def name_of(row: Row) -> str:
    """Return a short name that distinguishes the row from the others."""
    return f"{row.image}, {row.variant}, by {row.builder}"


def _ratio(value: float | None, to: float | None) -> float | None:
    return value / to if value is not None and to else None


def _megabytes(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.0f}"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
