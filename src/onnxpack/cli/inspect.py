"""``onnxpack inspect``: show the contents of a pack and what was proven about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxpack.cli import evidence, parameters, say, speed
from onnxpack.cli.command import Command
from onnxpack.errors import UsageError

if TYPE_CHECKING:
    from onnxpack.graph.nodes import Node
    from onnxpack.graph.summary import Summary
    from onnxpack.pack.model import Pack
    from onnxpack.signature import Signature

NAME = "inspect"
EXAMPLE = """Example:
  onnxpack inspect resnet18
  onnxpack inspect bert --dim tokens=128 --nodes"""

BATCH = "batch"
SHOWN_LABELS = 4


@click.command(NAME, cls=Command, example=EXAMPLE)
@parameters.pack
@parameters.flag("--nodes", "List the nodes with the shapes of their outputs.")
@click.option(
    "--dim",
    multiple=True,
    metavar="NAME=N",
    help="Size of a dynamic dim at which operations are counted; may be repeated. By default "
    "batch is 1 and others have their size in the golden data.",
)
@parameters.json("Print everything as JSON.")
def command(pack: Path, nodes: bool, dim: tuple[str, ...], json: bool) -> None:
    """Describe a pack: its graph, its cost and its evidence."""
    from onnxpack.graph.nodes import list_nodes
    from onnxpack.graph.summary import summarize
    from onnxpack.pack.read import open_pack

    opened = open_pack(pack)
    sizes = _golden_sizes(opened) | {BATCH: 1} | _sizes(dim)
    summary = summarize(opened.model_path, dims=sizes)
    signature = opened.manifest.signature if opened.manifest else summary.signature
    _refuse_unknown(_sizes(dim), signature)
    listed = list_nodes(opened.model_path, dims=sizes) if nodes else None
    if json:
        say.emit(_document(opened, signature, summary, listed))
    else:
        _print(opened, signature, summary, listed)


def _sizes(texts: tuple[str, ...]) -> dict[str, int]:
    sizes = {}
    for text in texts:
        name, _, size = text.partition("=")
        if not name or not size.isdecimal() or int(size) < 1:
            raise UsageError(f"--dim {text!r} is not NAME=N, such as tokens=128.")
        sizes[name] = int(size)
    return sizes


def _refuse_unknown(sizes: dict[str, int], signature: Signature) -> None:
    """Raise an error for a size of a dim that the inputs do not have."""
    unknown = next((name for name in sizes if name not in signature.dynamic), None)
    if unknown is not None:
        known = ", ".join(signature.dynamic) or "none"
        raise UsageError(f"{unknown!r} is not a dynamic dim of the inputs; they are: {known}.")


def _golden_sizes(pack: Pack) -> dict[str, int]:
    cases = pack.manifest.parity.cases if pack.manifest else ()
    return dict(cases[0].dims) if cases else {}


def _document(
    pack: Pack, signature: Signature, summary: Summary, nodes: tuple[Node, ...] | None
) -> dict[str, Any]:
    manifest = pack.manifest
    return {
        "name": pack.name,
        "path": str(pack.path),
        "digest": pack.digest,
        "unchanged": _is_unchanged(pack),
        "size": pack.size,
        "signature": signature,
        "graph": summary,
        "golden": [golden.name for golden in pack.golden],
        "variants": sorted(pack.variants),
        "manifest": manifest,
        **({} if nodes is None else {"nodes": nodes}),
    }


def _is_unchanged(pack: Pack) -> bool:
    from onnxpack.pack.files import check_files

    return pack.manifest is not None and not [*check_files(pack.path, pack.manifest.files)]


def _print(
    pack: Pack, signature: Signature, summary: Summary, nodes: tuple[Node, ...] | None
) -> None:
    from onnxpack.cli import show

    show.facts([*_pack_facts(pack), *_side_facts(signature), *_graph_facts(summary)])
    say.out()
    show.table(
        ("operator", "nodes"),
        [(name, str(count)) for name, count in summary.operators.items()],
        right=("nodes",),
    )
    if nodes is not None:
        say.out()
        _print_nodes(nodes)
    say.out()
    if pack.manifest:
        evidence.show_parity(pack.manifest.parity)
        speed.show_variants(pack.manifest.variants)
        speed.show_measurements(pack.manifest.measurements)
    else:
        say.out(
            "No evidence: this is not a pack, so nothing shows that it was compared with its "
            "original."
        )


def _pack_facts(pack: Pack) -> list[tuple[str, str]]:
    manifest = pack.manifest
    facts = [("name", pack.name), ("size", say.size(pack.size))]
    if manifest is None:
        return facts
    source = manifest.source
    files = "unchanged" if _is_unchanged(pack) else f"altered: onnxpack check {pack.path}"
    facts[1:1] = [
        ("version", manifest.version), ("digest", pack.digest or ""), ("files", files)
    ]  # fmt: skip
    facts += [("description", manifest.description), ("license", manifest.license)]
    origin = f"{source.model_class}, {source.framework} {source.framework_version}"
    facts.append(("source", f"{origin}, by {source.strategy}"))
    if manifest.labels:
        more = ", …" if len(manifest.labels) > SHOWN_LABELS else ""
        first = ", ".join(manifest.labels[:SHOWN_LABELS])
        facts.append(("labels", f"{len(manifest.labels)}: {first}{more}"))
    if manifest.derived_from:
        facts.append(("derived from", manifest.derived_from))
    return [(name, value) for name, value in facts if value]


def _side_facts(signature: Signature) -> list[tuple[str, str]]:
    sides = (("input", signature.inputs), ("output", signature.outputs))
    return [(side, f"{spec.name}: {spec}") for side, specs in sides for spec in specs]


def _graph_facts(summary: Summary) -> list[tuple[str, str]]:
    opsets = ", ".join(f"{name} {version}" for name, version in summary.opsets.items())
    weights = ", ".join(f"{dtype} {say.size(n)}" for dtype, n in summary.weights.items())
    facts = [
        ("opset", opsets),
        ("IR version", str(summary.ir_version)),
        ("producer", summary.producer or "unknown"),
        ("parameters", say.quantity(summary.parameters).strip()),
        ("weights", weights or "none"),
        ("MACs", _macs(summary)),
        ("nodes", str(summary.nodes)),
    ]
    if summary.functions:
        facts.append(("functions", ", ".join(summary.functions)))
    return facts


def _macs(summary: Summary) -> str:
    at = _at(summary.dims)
    missing = f"; {summary.uncounted} nodes could not be counted" if summary.uncounted else ""
    if summary.macs is None:
        return f"unknown{at}{missing}"
    return f"{say.quantity(summary.macs).strip()}{at}{missing}"


def _at(dims: Mapping[str, int]) -> str:
    return f" at {', '.join(f'{name}={size}' for name, size in dims.items())}" if dims else ""


def _print_nodes(nodes: tuple[Node, ...]) -> None:
    from onnxpack.cli import show

    show.table(
        ("node", "operator", "inputs", "outputs", "MACs"),
        [
            (
                node.name,
                node.operator,
                ", ".join(value.name for value in node.inputs if value.name),
                ", ".join(f"{value.name}{_shape(value.shape)}" for value in node.outputs),
                "?" if node.macs is None else say.quantity(node.macs).strip() if node.macs else "",
            )
            for node in nodes
        ],
        right=("MACs",),
    )


def _shape(shape: tuple[int | None, ...] | None) -> str:
    if shape is None:
        return ""
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
