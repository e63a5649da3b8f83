"""Write a pack again with another manifest and other variants, and the same proven graph."""

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

    The graph and the golden data are copied byte for byte. Model card and bill of materials are
    made anew. ``to`` may be the pack's own folder, with ``force``. If anything fails, the given
    pack stays unchanged.

    Args:
        pack: a pack with a manifest.
        to: folder to create.
        manifest: names the variants of the new pack; its ``files`` are computed here.
        variants: folders of new variants, by name. Each has ``model.onnx``, the files beside it
            that it refers to, and its golden sets. Other variants that the manifest names are
            copied from the pack.
        force: replace an existing pack, or an empty folder.

    Raises:
        PackError: ``to`` exists or cannot be written, a folder is malformed, or a file of the pack
            differs from its manifest.
        ValueError: the manifest does not fit the pack or the variants.
    """
    if pack.manifest is None:
        raise PackError(
            f"{pack.path} is not a pack: it has no manifest to rewrite.",
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
    """Return the new variants, and the variants of the pack that are kept."""
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
    """Raise an error if the manifest does not fit the graph and the variants."""
    unnamed = sorted(given.keys() - manifest.variants.keys())
    absent = sorted(manifest.variants.keys() - given.keys() - pack.variants.keys())
    if unnamed or absent:
        raise ValueError(f"variants without a manifest entry: {unnamed}, without files: {absent}")
    base = pack.manifest.files.get(MODEL) if pack.manifest else None
    for name, entry in manifest.variants.items():
        if base is None or entry.base != base.sha256:
            raise ValueError(f"variant {name!r} was made from a graph other than {MODEL}")
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
    """Copy the files that the pack's own manifest names, and check each digest.

    Under the new manifest, an altered file would be taken for a proven one.
    """
    writer.copy_graph(pack.model_path)
    _copy_golden(writer, pack.golden)
    for each in kept:
        _copy_variant(writer, each)
    known = pack.manifest.files if pack.manifest else {}
    altered = sorted(name for name, entry in writer.entries.items() if known.get(name) != entry)
    if altered:
        raise PackError(
            f"{pack.path} does not match its pack.json: altered files: {', '.join(altered[:10])}.",
            remedy=f"onnxpack check {pack.path}",
        )
