"""Validate a pack's variants: each has the base's signature and evidence of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from onnxpack.errors import PackError
from onnxpack.pack import paths
from onnxpack.pack.external import check_external
from onnxpack.pack.golden import check_golden
from onnxpack.pack.interface import Interface, read_interface
from onnxpack.pack.manifest import Manifest, Variant
from onnxpack.pack.model import Pack, VariantFiles
from onnxpack.pack.read import MODEL, VARIANTS
from onnxpack.report import Finding, error, ok
from onnxpack.signature import Signature

PARITY = "parity"
"""The measure of a variant that passes the pack's own golden data within its tolerance."""


def check_variants(pack: Pack, manifest: Manifest) -> Iterator[Finding]:
    """Yield every fault of a pack's variants, and a finding for each variant without a fault."""
    for name in sorted(_folders(pack.path) - manifest.variants.keys()):
        yield error(f"{VARIANTS}/{name}", "it is in the folder, but pack.json does not list it.")
    for name, entry in sorted(manifest.variants.items()):
        subject = f"{VARIANTS}/{name}"
        if name not in pack.variants:
            yield error(subject, "pack.json lists it, but the folder does not exist.")
            continue
        findings = list(_check(subject, pack.variants[name], manifest))
        yield from findings or [ok(subject, _describe(entry))]


def check_ports(interface: Interface, signature: Signature) -> Iterator[str]:
    """Yield every difference between a graph's inputs and outputs and a signature."""
    for side, ports, specs in (
        ("inputs", interface.inputs, signature.inputs),
        ("outputs", interface.outputs, signature.outputs),
    ):
        if len(ports) != len(specs):
            yield f"the graph has {len(ports)} {side}, expected {len(specs)}."
        for port, spec in zip(ports, specs, strict=False):
            if port.differs(spec):
                yield f"the graph's {side} contain {port}, expected {spec.name}: {spec}."


def _folders(pack: Path) -> set[str]:
    place = pack / VARIANTS
    return paths.list_names(place) if place.is_dir() and not place.is_symlink() else set()


def _describe(entry: Variant) -> str:
    sets = len({each.golden for each in entry.evidence})
    judged = "the pack's own golden data" if entry.exact else f"golden sets of its own: {sets}"
    return f"a graph with the pack's signature, checked with {judged}"


def _check(subject: str, variant: VariantFiles, manifest: Manifest) -> Iterator[Finding]:
    base = manifest.files.get(MODEL)
    if base is None or variant.entry.base != base.sha256:
        found = base.sha256 if base else "not in pack.json"
        yield error(subject, f"it was made from {variant.entry.base}, but {MODEL} is {found}.")
    try:
        # A graph with refused external data is not loaded, since a loader would follow it.
        check_external(variant.model_path)
        faults = list(check_ports(read_interface(variant.model_path), manifest.signature))
    except PackError as exc:
        faults = [exc.message]
    for message in faults:
        yield error(subject, message)
    for fault in check_golden(variant.golden, manifest.signature, named=True):
        yield error(f"{subject}/{fault.subject}", fault.message, fault.remedy)
    for message in _evidence(variant, manifest.signature):
        yield error(subject, message)


def _evidence(variant: VariantFiles, signature: Signature) -> Iterator[str]:
    entry = variant.entry
    present = {golden.name for golden in variant.golden}
    if entry.exact and entry.kept.measure != PARITY:
        yield f"it keeps its {entry.kept.measure} only in part, but no golden set shows how far."
    named = Counter((each.golden, each.output) for each in entry.evidence)
    outputs = {spec.name for spec in signature.outputs}
    for name in sorted({golden for golden, _ in named} - present):
        yield f"its evidence names {name}, which is not in its folder."
    for name in sorted({output for _, output in named} - outputs):
        yield f"its evidence names output {name!r}, which the model does not have."
    for golden in sorted(present):
        for output in sorted(outputs):
            count = named[golden, output]
            if count != 1:
                yield f"its evidence names {output!r} of {golden} {count} times, expected once."
    for each in entry.evidence:
        # At 1, the answers are as far from the original's as all zeros would be.
        if not 0 <= each.distance < 1:
            yield (
                f"{each.output!r} of {each.golden} has distance {each.distance:g}, expected at "
                "least 0 and less than 1."
            )
