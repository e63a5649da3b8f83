"""The pack: a value that points at a folder and says what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.pack.manifest import Manifest


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The files of one ``test_data_set_N``: inputs and the framework's outputs, in order."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack, a model-zoo folder, or a bare ``.onnx`` file.

    Attributes:
        path: the folder, or the bare file.
        model_path: the graph.
        golden: the sets of golden data, in order of their number.
        manifest: None for what is not a pack: it carries no evidence.
        digest: ``sha256:…`` of the manifest's bytes; None where there is none.
    """

    path: Path
    model_path: Path
    golden: tuple[GoldenSet, ...] = ()
    manifest: Manifest | None = None
    digest: str | None = None

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
