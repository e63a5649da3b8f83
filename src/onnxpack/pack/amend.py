"""Writing a pack again: another manifest, other variants, and the same proven graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from onnxpack.errors import PackError
from onnxpack.pack import paths
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import GoldenSet, Pack, VariantFiles
from onnxpack.pack.read import MODEL, VARIANTS, read_variant
from onnxpack.pack.write import Writer, write_folder


def amend_pack(
    pack: Pack,
    to: Path,
    manifest: Manifest,
    *,
    variants: Mapping[str, Path] | None = None,
    force: bool = False,
) -> Pack:
    """Write a pack again with another manifest and other variants, and open it.

    The graph and the golden data are copied byte for byte; model card and bill of materials are
    made anew. ``to`` may be the pack's own folder, with ``force``. Whatever fails, the pack that
    was given stays as it was.

    Args:
        pack: with a manifest.
        to: the folder to make.
        manifest: names the variants that the new pack has; its ``files`` are found here.
        variants: new ones, by name: a folder with ``model.onnx``, the files beside it that it
            refers to, and its golden sets. Those of the pack that the manifest still names, and
            that are not given here, are kept.
        force: replace a pack, or an empty folder, that is there already.

    Raises:
        PackError: ``to`` is taken or cannot be written, a folder is malformed, or a file of the
            pack is not what its manifest says.
        ValueError: the manifest does not fit the pack or the variants.
    """
    if pack.manifest is None:
        raise PackError(
            f"{pack.path} is not a pack: it has no manifest to write again.",
            remedy=f"onnxpack export {pack.path} --sample SPEC -o DIR",
        )
    given = variants or {}
    _check_fit(pack, manifest, given)
    new, kept = _find_variants(pack, manifest, given)

    def fill(writer: Writer) -> None:
        _copy_known(writer, pack, kept)
        for each in new:
            _copy_variant(writer, each)

    return write_folder(to, manifest, fill, force=force)


def _find_variants(
    pack: Pack, manifest: Manifest, given: Mapping[str, Path]
) -> tuple[list[VariantFiles], list[VariantFiles]]:
    """Return the variants that are given, and those of the pack that are kept."""
    new, kept = [], []
    for name, entry in sorted(manifest.variants.items()):
        if name in given:
            new.append(read_variant(given[name], name, entry))
        else:
            kept.append(replace(pack.variants[name], entry=entry))
    for each in (*new, *kept):
        _check_evidence(each, manifest)
    return new, kept


def _check_fit(pack: Pack, manifest: Manifest, given: Mapping[str, Path]) -> None:
    """Refuse a manifest of other variants, or of another graph: a mistake of the caller's."""
    unnamed = sorted(given.keys() - manifest.variants.keys())
    absent = sorted(manifest.variants.keys() - given.keys() - pack.variants.keys())
    if unnamed or absent:
        raise ValueError(f"variants without a manifest entry: {unnamed}, without files: {absent}")
    base = pack.manifest.files.get(MODEL) if pack.manifest else None
    for name, entry in manifest.variants.items():
        if base is None or entry.base != base.sha256:
            raise ValueError(f"variant {name!r} was made from another graph than {MODEL}")
    sets = {case.golden for case in manifest.parity.cases if case.golden is not None}
    if sets != {golden.name for golden in pack.golden}:
        raise ValueError(f"evidence names {sorted(sets)}, the pack has {pack.golden}")


def _check_evidence(variant: VariantFiles, manifest: Manifest) -> None:
    sets = {golden.name for golden in variant.golden}
    outputs = {spec.name for spec in manifest.signature.outputs}
    named = [(each.golden, each.output) for each in variant.entry.evidence]
    wanted = sorted((golden, output) for golden in sets for output in outputs)
    if sorted(named) != wanted:
        raise ValueError(f"variant {variant.name!r}: evidence {named}, expected {wanted}")


def _copy_variant(writer: Writer, variant: VariantFiles) -> None:
    into = f"{VARIANTS}/{variant.name}/"
    writer.copy_graph(variant.model_path, into)
    _copy_golden(writer, variant.golden, into)


def _copy_golden(writer: Writer, golden: Iterable[GoldenSet], into: str = "") -> None:
    for each in golden:
        for path in (*each.inputs, *each.outputs):
            with paths.open_inside(path.parent, path.name) as source:
                writer.copy(f"{into}{each.name}/{path.name}", source)


def _copy_known(writer: Writer, pack: Pack, kept: Iterable[VariantFiles]) -> None:
    """Copy what the pack's own manifest names, and refuse what is not as it says.

    Under the new manifest, a file that was altered would pass for one that was proven.
    """
    writer.copy_graph(pack.model_path)
    _copy_golden(writer, pack.golden)
    for each in kept:
        _copy_variant(writer, each)
    known = pack.manifest.files if pack.manifest else {}
    altered = sorted(name for name, entry in writer.entries.items() if known.get(name) != entry)
    if altered:
        raise PackError(
            f"{pack.path} is not what its pack.json says: {', '.join(altered[:10])} was altered.",
            remedy=f"onnxpack check {pack.path}",
        )
