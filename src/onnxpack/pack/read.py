"""Open a pack, a model-zoo folder or a bare graph, without reading anything large."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from onnxpack.errors import PackError, UsageError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import paths
from onnxpack.pack.external import check_external
from onnxpack.pack.manifest import Manifest, Variant
from onnxpack.pack.model import GoldenSet, Pack, VariantFiles

MANIFEST = "pack.json"
MODEL = "model.onnx"
CARD = "README.md"
SBOM = "SBOM.cdx.json"
GENERATED = (CARD, SBOM)
"""Files that are made from the manifest."""
SIGNATURE = "model.sig"
"""A detached signature, as Sigstore's model-signing writes it; no file of the pack lists it."""
VARIANTS = "variants"
"""The folder of the variants, each in its own folder."""
MAX_SETS = 1000
MAX_TENSORS = 1000
"""Most inputs, and most outputs, of one golden set."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SET = re.compile(r"test_data_set_(0|[1-9][0-9]{0,8})", re.ASCII)
_TENSOR = re.compile(r"(input|output)_(0|[1-9][0-9]{0,8})\.pb", re.ASCII)


def open_pack(path: str | Path, *, digest: str | None = None) -> Pack:
    """Open a pack folder, a model-zoo folder, or a bare ``.onnx`` file.

    Args:
        path: path of the folder or file.
        digest: ``sha256:…`` of the pack that is expected, as whoever made it gave it to you; None
            trusts whatever is there.

    Raises:
        PackError: the path is none of these, is malformed or hostile, or is another pack than the
            digest names.
        UsageError: the digest is malformed.
    """
    path = Path(path)
    try:
        pack = _open_folder(path) if path.is_dir() else _open_file(path)
    except OSError as exc:
        raise PackError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    return pack if digest is None else trust(pack, digest)


def trust(pack: Pack, *digests: str) -> Pack:
    """Return the pack, marked as trusted, if its digest is one of those that the user gave.

    Raises:
        PackError: it is another pack.
        UsageError: a digest is malformed.
    """
    for digest in digests:
        if not _DIGEST.fullmatch(digest):
            raise UsageError(
                f"{digest!r} is not a digest, expected sha256: and 64 hexadecimal digits, as "
                "onnxpack inspect prints it."
            )
    if pack.digest not in digests:
        found = pack.digest or "no digest, since it has no pack.json"
        raise PackError(f"{pack.path} has {found}, expected {' or '.join(digests)}.")
    return replace(pack, trusted=True)


def _beside(path: Path) -> Iterator[Path]:
    """Yield the packs and graphs in the folder of a path."""
    with suppress(OSError):
        for each in path.parent.iterdir():
            if each.suffix == ".onnx" or (each / MANIFEST).is_file():
                yield each


def _open_file(path: Path) -> Pack:
    if not path.exists():
        near = get_close_matches(path.name, [each.name for each in _beside(path)], n=1)
        raise PackError(
            f"{path} does not exist; expected a pack, or an .onnx file.",
            remedy=str(path.with_name(near[0])) if near else "",
        )
    if path.suffix != ".onnx":
        raise PackError(
            f"{path} is neither a pack nor an .onnx file.",
            remedy=f"onnxpack export {path} --sample SPEC -o {path.stem}",
        )
    check_external(path)
    return Pack(path=path, model_path=path)


def _open_folder(folder: Path) -> Pack:
    names = paths.list_names(folder)
    is_pack = MANIFEST in names
    model_path = _find_model(folder, names, is_pack=is_pack)
    with paths.open_inside(folder, model_path.name):
        pass
    check_external(model_path)
    golden = _find_golden(folder, names)
    if not is_pack:
        return Pack(path=folder, model_path=model_path, golden=golden)
    with paths.open_inside(folder, MANIFEST) as stream:
        content = paths.read(
            stream, limit=manifests.MAX_MANIFEST_BYTES, what=str(folder / MANIFEST)
        )
    try:
        manifest = manifests.decode(content)
    except PackError as exc:
        raise PackError(f"{folder}: {exc.message}", remedy=exc.remedy) from exc
    variants = {found.name: found for found in _find_variants(folder, names, manifest)}
    return Pack(folder, model_path, golden, manifest, manifests.digest(content), variants)


def read_variant(folder: Path, name: str, entry: Variant) -> VariantFiles:
    """Read the files of a variant's folder, with the same checks as for a pack.

    Args:
        folder: folder with the graph, and the golden sets if there are any.
        name: name of the variant.
        entry: the variant's entry in the manifest.

    Raises:
        PackError: the path is not a folder, has no graph, or is malformed or hostile.
    """
    _check_folder(folder, "each variant needs a folder of its own")
    model_path = folder / MODEL
    with paths.open_inside(folder, MODEL):
        pass
    check_external(model_path)
    golden = _find_golden(folder, paths.list_names(folder))
    return VariantFiles(name, model_path, golden, entry)


def _find_variants(folder: Path, names: set[str], manifest: Manifest) -> Iterator[VariantFiles]:
    """Yield the variants that the manifest names and whose folder exists.

    A missing folder is reported by ``validate``: an image leaves out variants.
    """
    if VARIANTS not in names or not manifest.variants:
        return
    place = folder / VARIANTS
    _check_folder(place, "expected a folder of variants")
    present = paths.list_names(place)
    for name, entry in sorted(manifest.variants.items()):
        if name in present:
            yield read_variant(place / name, name, entry)


def _check_folder(folder: Path, expected: str) -> None:
    """Check that a path is a folder and not a symlink, which could lead out of the pack."""
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise PackError(f"{folder} is not a folder; {expected}.")


def _find_model(folder: Path, names: set[str], *, is_pack: bool) -> Path:
    if MODEL in names:
        return folder / MODEL
    graphs = sorted(name for name in names if name.endswith(".onnx"))
    if is_pack or not graphs:
        raise PackError(f"{folder} has no {MODEL}, so it is not a pack.")
    if len(graphs) > 1:
        raise PackError(
            f"{folder} holds {len(graphs)} graphs ({', '.join(graphs[:5])}), expected one.",
            remedy=f"name one of them: {folder / graphs[0]}",
        )
    return folder / graphs[0]


def _find_golden(folder: Path, names: Iterable[str]) -> tuple[GoldenSet, ...]:
    numbered = {int(match[1]): match[0] for match in map(_SET.fullmatch, names) if match}
    if len(numbered) > MAX_SETS:
        raise PackError(f"{folder} holds {len(numbered)} golden sets, expected at most {MAX_SETS}.")
    return tuple(_read_set(folder / numbered[number]) for number in sorted(numbered))


def _read_set(folder: Path) -> GoldenSet:
    _check_folder(folder, "golden data needs a folder of its own")
    found: dict[str, set[int]] = {"input": set(), "output": set()}
    for name in paths.list_names(folder):
        match = _TENSOR.fullmatch(name)
        if match:
            found[match[1]].add(int(match[2]))
    return GoldenSet(
        name=folder.name,
        inputs=_in_order(folder, "input", found["input"]),
        outputs=_in_order(folder, "output", found["output"]),
    )


def _in_order(folder: Path, side: str, numbers: set[int]) -> tuple[Path, ...]:
    if len(numbers) > MAX_TENSORS:
        raise PackError(f"{folder} has {len(numbers)} {side}s, expected at most {MAX_TENSORS}.")
    for number in range(len(numbers)):
        if number not in numbers:
            raise PackError(f"{folder} has no {side}_{number}.pb, but has {side}s that follow it.")
    if side == "output" and not numbers:
        raise PackError(f"{folder} has no output_0.pb, so there is nothing to compare with.")
    return tuple(folder / f"{side}_{number}.pb" for number in range(len(numbers)))
