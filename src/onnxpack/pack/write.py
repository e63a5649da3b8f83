"""Write a pack completely or not at all, with the same bytes each time."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec

from onnxpack.atomic import atomic_folder
from onnxpack.errors import PackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import paths
from onnxpack.pack.digest import measure
from onnxpack.pack.external import check_external
from onnxpack.pack.files import walk
from onnxpack.pack.generated import make_generated
from onnxpack.pack.manifest import FileEntry, Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.read import MANIFEST, MAX_SETS, MODEL, SIGNATURE, open_pack
from onnxpack.pack.tensor import encode_tensor
from onnxpack.signature import Array, Signature


@dataclass(frozen=True, slots=True)
class GoldenData:
    """One golden set to write: inputs and the framework's outputs by name."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


def set_name(number: int) -> str:
    """Return the folder name of a golden set."""
    return f"test_data_set_{number}"


def write_pack(
    to: Path,
    manifest: Manifest,
    *,
    model: Path,
    golden: Sequence[GoldenData],
    force: bool = False,
) -> Pack:
    """Write a pack and open it.

    Args:
        to: folder to create.
        manifest: the manifest; its ``files`` are computed here, given ones are ignored.
        model: path of a finished graph; the files beside it that it refers to are copied too.
        golden: the sets that the manifest's evidence names, in the order of their numbers.
        force: replace an existing pack, or an empty folder.

    Raises:
        PackError: ``to`` exists, or the pack cannot be written there.
    """
    _check_golden(manifest, golden)

    def fill(writer: Writer) -> None:
        writer.copy_graph(model)
        for number, data in enumerate(golden):
            write_golden(writer, number, manifest.signature, data)

    return write_folder(to, manifest, fill, force=force)


def write_golden(writer: Writer, number: int, signature: Signature, data: GoldenData) -> None:
    """Write a golden set into its folder."""
    for relative, content in _tensors(signature, data):
        writer.write(f"{set_name(number)}/{relative}", content)


def write_folder(
    to: Path, manifest: Manifest, fill: Callable[[Writer], object], *, force: bool = False
) -> Pack:
    """Write a pack whose model and golden data are written by a function, and open it.

    Args:
        to: folder to create.
        manifest: the manifest; its ``files`` are computed here, given ones are ignored.
        fill: function that writes graphs and golden data; files made from the manifest are added.
        force: replace an existing pack, or an empty folder.

    Raises:
        PackError: ``to`` exists, or the pack cannot be written there.
    """
    check_destination(to, force=force)
    try:
        with _made_folder(to.parent):
            with atomic_folder(to) as made:
                made.chmod(0o700)
                writer = Writer(made)
                fill(writer)
                _describe(writer, manifest)
                _settle(made)
                check_destination(to, force=force)
            _sync(to.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise PackError(f"{to} cannot be written: {exc.strerror or exc}.") from exc
    return open_pack(to)


def check_destination(to: Path, *, force: bool) -> None:
    """Check, before the work, that a pack can be written to this place.

    Raises:
        PackError: something exists there; with ``force``, something that is not a pack, holds other
            files too, or is read-only; or the folder above cannot be written.
    """
    if to.name in ("", ".."):
        raise PackError(
            f"{to} is not a valid name for a pack.", remedy="choose another folder (-o)"
        )
    above = next(place for place in to.absolute().parents if place.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise PackError(f"{to} cannot be written: {above} is read-only, or is not a folder.")
    if not os.path.lexists(to):
        return
    if not force:
        raise PackError(
            f"{to} exists already.",
            remedy="choose another folder, or replace it with force=True",
            option=f"-o {shlex.quote(f'{to}-2')}",
        )
    if to.is_symlink() or not to.is_dir():
        raise PackError(f"{to} is not a folder; --force replaces only packs.")
    if not os.access(to, os.W_OK):  # it could be moved aside, but not removed
        raise PackError(f"{to} cannot be replaced: it is read-only.")
    if not any(to.iterdir()):
        return
    try:
        with paths.open_inside(to, MANIFEST) as stream:
            content = paths.read(stream, limit=manifests.MAX_MANIFEST_BYTES, what=MANIFEST)
        known = manifests.decode(content).files
    except PackError as exc:
        raise PackError(
            f"{to} is not a pack, and --force replaces only packs: {exc.message}",
            remedy="choose another folder (-o)",
        ) from exc
    strangers = sorted({*walk(to)} - known.keys() - {MANIFEST, SIGNATURE})
    if strangers:
        more = f" and {len(strangers) - 1} more files" if len(strangers) > 1 else ""
        raise PackError(
            f"{to} holds {strangers[0]}{more}, which the pack there does not list: --force "
            "replaces only packs.",
            remedy="choose another folder, or move what is yours out of it",
            option=f"-o {shlex.quote(f'{to}-2')}",
        )


def _check_golden(manifest: Manifest, golden: Sequence[GoldenData]) -> None:
    """Raise ValueError if golden data does not fit the evidence: a mistake of the caller."""
    named = {case.golden for case in manifest.parity.cases if case.golden is not None}
    given = {set_name(number) for number in range(len(golden))}
    if named != given or len(golden) > MAX_SETS:
        raise ValueError(f"evidence names {sorted(named)}, golden data is {sorted(given)}")
    for data in golden:
        inputs = {spec.name for spec in manifest.signature.inputs}
        outputs = {spec.name for spec in manifest.signature.outputs}
        if data.inputs.keys() != inputs or data.outputs.keys() != outputs:
            raise ValueError(f"golden data is {data}, the signature {manifest.signature}")


def _describe(writer: Writer, manifest: Manifest) -> None:
    """Write the files that are made from the manifest, and the manifest itself."""
    known = msgspec.structs.replace(manifest, files=dict(writer.entries))
    for name, made in make_generated(known).items():
        writer.write(name, made)
    whole = msgspec.structs.replace(manifest, files=dict(sorted(writer.entries.items())))
    content = manifests.encode(whole)
    # Refuse what cannot be read back, such as a name with a slash.
    manifests.decode(content)
    writer.write(MANIFEST, content)


def _tensors(signature: Signature, data: GoldenData) -> Iterator[tuple[str, bytes]]:
    for side, specs, arrays in (
        ("input", signature.inputs, data.inputs),
        ("output", signature.outputs, data.outputs),
    ):
        for at, spec in enumerate(specs):
            yield f"{side}_{at}.pb", encode_tensor(spec.name, arrays[spec.name])


class Writer:
    """Writes files into one new folder and records their digests.

    Attributes:
        entries: digest and size of each written file, by its path in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.entries: dict[str, FileEntry] = {}

    def write(self, relative: str, content: bytes) -> None:
        """Write bytes to a new file."""
        self.copy(relative, BytesIO(content))

    def copy_graph(self, model: Path, into: str = "") -> None:
        """Copy a graph to ``model.onnx``, with the files beside it that it refers to.

        Args:
            model: path of the graph.
            into: target folder, with a slash at its end; empty for the pack itself.
        """
        with paths.open_file(model) as source:
            self.copy(f"{into}{MODEL}", source)
        for location in dict.fromkeys(reference.location for reference in check_external(model)):
            with paths.open_inside(model.parent, location, alone=True) as source:
                self.copy(f"{into}{location}", source)

    def copy(self, relative: str, source: BinaryIO) -> None:
        """Copy a stream to a new file, up to its end."""
        with self._new(relative) as target:
            self.entries[relative] = measure(source, copy_to=target)

    @contextmanager
    def _new(self, relative: str) -> Iterator[BinaryIO]:
        path = self._folder.joinpath(*paths.split(relative))
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" refuses a second file of the same name, such as external data called README.md.
        with path.open("xb") as target:
            yield target


@contextmanager
def _made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents; remove what was made if the work fails."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):
                place.rmdir()
        raise


def _settle(folder: Path) -> None:
    """Set fixed modes and times, and flush everything to the disk, from the leaves up.

    Files are synchronised after all are written: the first call then writes most of what the others
    would wait for.
    """
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(place, name)
            path.chmod(0o644)
            os.utime(path, (moment, moment))
            _sync(path, os.O_RDONLY)
        Path(place).chmod(0o755)
        os.utime(place, (moment, moment))
        _sync(Path(place), os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
