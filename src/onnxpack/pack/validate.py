"""Validate a pack: recompute everything, and report every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from onnxpack.comparison.detections import check_sets
from onnxpack.comparison.tolerance import OutputEvidence
from onnxpack.errors import PackError, UsageError
from onnxpack.pack import manifest as manifests
from onnxpack.pack import paths
from onnxpack.pack.card import size
from onnxpack.pack.external import check_external
from onnxpack.pack.files import check_files
from onnxpack.pack.golden import check_golden
from onnxpack.pack.interface import Interface, read_interface
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity
from onnxpack.pack.model import Pack
from onnxpack.pack.read import MANIFEST
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
        lambda: check_files(pack.path, manifest.files),
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
        lambda: _evidence(pack, manifest),
    )
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


def _evidence(pack: Pack, manifest: Manifest) -> Iterator[Finding]:
    parity = manifest.parity
    if not parity.cases:
        yield error("evidence", "no case was compared with the framework.")
    present = {golden.name for golden in pack.golden}
    named = [case.golden for case in parity.cases if case.golden is not None]
    for name in sorted(set(named) - present):
        yield error("evidence", f"it names {name}, which is not in the pack.")
    for name in sorted(present - set(named)):
        yield error("evidence", f"no case records the result of {name}.")
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield error("evidence", f"more than one case names {name}.")
    outputs = [spec.name for spec in manifest.signature.outputs]
    yield from _sets(parity, outputs)
    for case in parity.cases:
        if [found.output for found in case.outputs] != outputs:
            yield error(
                "evidence", f"case {case.name!r} does not compare each output exactly once."
            )
        for found in case.outputs:
            if not found.passed:
                yield _failed(case, found)


def _sets(parity: Parity, outputs: Sequence[str]) -> Iterator[Finding]:
    """Yield an error if the unordered groups do not name each output at most once."""
    try:
        check_sets(parity.unordered, outputs)
    except UsageError as exc:
        yield error("evidence", exc.message)


def _failed(case: CaseEvidence, found: OutputEvidence) -> Finding:
    difference = f"{found.output} {found.reason}"
    if case.accepted:
        return warning("evidence", f"case {case.name!r} differs, which was accepted: {difference}")
    return error("evidence", f"case {case.name!r} failed: {difference}")
