"""The pack: a value that points at a folder and says what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.pack.manifest import Manifest, Variant


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The files of one ``test_data_set_N``: inputs and the framework's outputs, in order."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class VariantFiles:
    """A faster graph of a pack, in ``variants/NAME``.

    Attributes:
        name: the folder's.
        model_path: the graph.
        golden: its own golden sets; none if the pack's own judge it.
        entry: what the manifest says of it.
    """

    name: str
    model_path: Path
    golden: tuple[GoldenSet, ...]
    entry: Variant


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack, a model-zoo folder, or a bare ``.onnx`` file.

    Attributes:
        path: the folder, or the bare file.
        model_path: the graph.
        golden: the sets of golden data, in order of their number.
        manifest: None for what is not a pack: it carries no evidence.
        digest: ``sha256:…`` of the manifest's bytes; None where there is none.
        variants: the faster graphs by name; of those that the manifest names, only the ones whose
            folder is there, since an image leaves out some.
    """

    path: Path
    model_path: Path
    golden: tuple[GoldenSet, ...] = ()
    manifest: Manifest | None = None
    digest: str | None = None
    # Left out of the hash: a mapping has none.
    variants: Mapping[str, VariantFiles] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The name in the manifest, else that of the folder or file."""
        return self.manifest.name if self.manifest else self.path.resolve().stem

    @property
    def tolerance(self) -> Tolerance:
        """What its answers were proven to, else the default."""
        return self.manifest.parity.tolerance if self.manifest else Tolerance()

    @property
    def unordered(self) -> tuple[tuple[str, ...], ...]:
        """The groups of its outputs whose rows are a set."""
        return self.manifest.parity.unordered if self.manifest else ()
