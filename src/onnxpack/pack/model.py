"""The data structures of an opened pack: its folder, graph, golden data and manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.notebook import to_html, to_text
from onnxpack.pack.manifest import Manifest, Variant


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """The files of one ``test_data_set_N``: inputs and the framework's outputs, in order."""

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class VariantFiles:
    """The files of a variant, in ``variants/NAME``.

    Attributes:
        name: name of the variant and of its folder.
        model_path: path of the graph.
        golden: golden sets of the variant; empty if the pack's golden sets judge it.
        entry: the variant's entry in the manifest.
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
        model_path: path of the graph.
        golden: sets of golden data, in the order of their numbers.
        manifest: the manifest; None if the path is not a pack, which then has no evidence.
        digest: ``sha256:…`` of the manifest's bytes; None without a manifest.
        variants: the faster graphs by name. Of those that the manifest names, only those whose
            folder exists, since an image leaves out some.
        trusted: whether the digest is one that the user gave; see ``open_pack``.
    """

    path: Path
    model_path: Path
    golden: tuple[GoldenSet, ...] = ()
    manifest: Manifest | None = None
    digest: str | None = None
    # Left out of the hash: a mapping cannot be hashed.
    variants: Mapping[str, VariantFiles] = field(default_factory=dict, hash=False)
    trusted: bool = False

    @property
    def name(self) -> str:
        """The name in the manifest, else the name of the folder or file."""
        return self.manifest.name if self.manifest else self.path.resolve().stem

    @property
    def size(self) -> int:
        """The total size of a pack's files in bytes; of a bare graph, the size of its file."""
        if self.manifest is None:
            return self.model_path.stat().st_size
        return sum(entry.size for entry in self.manifest.files.values())

    @property
    def tolerance(self) -> Tolerance:
        """The tolerance of the pack's proof, else the default."""
        return self.manifest.parity.tolerance if self.manifest else Tolerance()

    @property
    def unordered(self) -> tuple[tuple[str, ...], ...]:
        """The groups of outputs whose rows are a set."""
        return self.manifest.parity.unordered if self.manifest else ()

    def __repr__(self) -> str:
        from onnxpack.pack.describe import describe_pack, title_of

        return to_text(f"Pack {title_of(self)}", describe_pack(self))

    def _repr_html_(self) -> str:
        from onnxpack.pack.describe import describe_pack, title_of

        return to_html(f"Pack {title_of(self)}", describe_pack(self))
