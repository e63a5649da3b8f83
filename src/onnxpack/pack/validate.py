"""Validate a pack: recompute everything, and report every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from onnxpack.errors import PackError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import paths
from onnxpack.pack.card import size
from onnxpack.pack.external import check_external
from onnxpack.pack.files import check_files, check_names
from onnxpack.pack.generated import check_generated
from onnxpack.pack.golden import check_golden
from onnxpack.pack.interface import Interface, read_interface
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.read import MANIFEST
from onnxpack.pack.validate_evidence import check_dims, check_evidence
from onnxpack.pack.validate_variants import check_ports, check_variants
from onnxpack.report import Finding, Report, error, ok, report, warning
from onnxpack.signature import Signature


def validate(pack: Pack) -> Report:
    """Return a report with every fault of a pack, and one finding for each part without a fault."""
    external = _area("external data", "stays inside the pack", lambda: _external(pack))
    try:
        # A graph with refused external data is not loaded, since a loader would follow it.
        interface = None if _wrong(external) else read_interface(pack.model_path)
        graph = [] if interface is None else [ok("graph", _describe(interface))]
    except PackError as exc:
        interface, graph = None, [error("graph", exc.message, exc.remedy)]
    if pack.manifest is None:
        return report([*external, *graph, *_without_manifest(pack, interface)])
    return report(
        [*_manifest(pack), *external, *graph, *_with_manifest(pack, pack.manifest, interface)]
    )


def _with_manifest(
    pack: Pack, manifest: Manifest, interface: Interface | None
) -> Iterator[Finding]:
    yield from _area(
        "files",
        f"{len(manifest.files)} files, {size(sum(e.size for e in manifest.files.values()))}, "
        "each with the digest that pack.json names",
        lambda: chain(check_files(pack.path, manifest.files), check_names(pack, manifest)),
    )
    if interface is not None:
        yield from _area(
            "signature", str(manifest.signature), lambda: _signature(manifest, interface)
        )
    yield from _area(
        "golden data",
        f"{len(pack.golden)} sets that fit the signature",
        lambda: check_golden(pack.golden, manifest.signature, named=True),
    )
    yield from _area(
        "evidence",
        f"{len(manifest.parity.cases)} cases were compared with "
        f"{manifest.source.framework}, and all passed",
        lambda: check_evidence(pack, manifest),
    )
    yield from check_generated(pack, manifest)
    yield from check_variants(pack, manifest)


def _without_manifest(pack: Pack, interface: Interface | None) -> Iterator[Finding]:
    yield warning(
        "evidence",
        f"{pack.path} is not a pack: nothing proves that it answers like its framework.",
        remedy=f"onnxpack export {pack.path} --sample SPEC -o DIR",
    )
    if pack.golden and interface is not None:
        signature = Signature(
            tuple(port.to_spec() for port in interface.inputs),
            tuple(port.to_spec() for port in interface.outputs),
        )
        yield from _area(
            "golden data",
            f"{len(pack.golden)} sets that fit the graph",
            lambda: check_golden(pack.golden, signature, named=False),
        )


def _area(subject: str, good: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    return list(check()) or [ok(subject, good)]


def _wrong(findings: list[Finding]) -> bool:
    return not report(findings).ok


def _describe(interface: Interface) -> str:
    return f"valid: opset {interface.opset}, IR version {interface.ir_version}"


def _external(pack: Pack) -> Iterator[Finding]:
    try:
        check_external(pack.model_path)
    except PackError as exc:
        yield error("external data", exc.message, exc.remedy)


def _manifest(pack: Pack) -> Iterator[Finding]:
    try:
        with paths.open_inside(pack.path, MANIFEST) as stream:
            content = paths.read(stream, limit=manifests.MAX_MANIFEST_BYTES, what=MANIFEST)
        written = manifests.decode(content)
    except PackError as exc:
        yield error(MANIFEST, exc.message, exc.remedy)
        return
    if manifests.digest(content) != pack.digest:
        yield error(MANIFEST, "it changed after the pack was opened.")
    elif manifests.encode(written) != content:
        yield error(
            MANIFEST,
            "it is not in its canonical form (UTF-8, sorted keys, two spaces, no unknown "
            "field), so it was edited.",
        )
    else:
        yield ok(MANIFEST, f"format version {written.schema_version}, {pack.digest}")


def _signature(manifest: Manifest, interface: Interface) -> Iterator[Finding]:
    source = manifest.source
    for what, found, wanted in (
        ("opset", interface.opset, source.opset),
        ("IR version", interface.ir_version, source.ir_version),
    ):
        if found != wanted:
            yield error("graph", f"its {what} is {found}, expected {wanted} as in pack.json.")
    for message in check_ports(interface, manifest.signature):
        yield error("signature", message)
    yield from check_dims(manifest.signature)
