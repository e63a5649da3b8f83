"""Choose the fastest graph of a pack whose answers here are as they were where it was made.

Results from another machine do not hold here: without VNNI, onnxruntime's ``MatMulInteger`` of
unsigned by signed bytes saturates (onnxruntime issues 5849, 6004, 14642). So each variant replays
its evidence before it is used; the processor's features decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from onnxpack.errors import PackError, ProviderError, UsageError
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import Pack, VariantFiles
from onnxpack.pack.read import MODEL
from onnxpack.report import Level
from onnxpack.runtime.catalog import CPU
from onnxpack.runtime.choose import Opened, open_on
from onnxpack.runtime.openvino import open_openvino
from onnxpack.runtime.private_copy import private_copy
from onnxpack.runtime.providers import AUTO, resolve, short_name
from onnxpack.runtime.replay import Example, Run, read_example, replay_example, replay_variant
from onnxpack.runtime.session import OPENVINO, run
from onnxpack.runtime.signature import agree, read_signature
from onnxpack.signature import Array, Signature

BASE = "base"
CPU_NAME = "cpu"

ReadSample: TypeAlias = Callable[[], Example]
"""Reads the pack's first golden set, which is used for several variants, only once."""


class Chosen(NamedTuple):
    """The graph that was chosen to answer.

    Attributes:
        opened: its session, and where it runs.
        signature: the manifest's signature, else the graph's own.
        variant: name of the variant; None for the base.
        notes: which variants were not taken, and why.
    """

    opened: Opened
    signature: Signature
    variant: str | None = None
    notes: tuple[str, ...] = ()


def choose(pack: Pack, variant: str, provider: str, *, threads: int) -> Chosen:
    """Choose and open a graph of a pack.

    Args:
        pack: a pack, with or without variants.
        variant: name of a variant; ``base``; or ``auto``, the fastest variant that replays here,
            else the base.
        provider: see ``resolve``; variants are for the CPU.
        threads: threads of one operator.

    Raises:
        PackError: the pack is malformed, or the graph cannot be loaded.
        ProviderError: the provider does not run here, or the named variant answers differently here
            than where it was made.
        UsageError: the pack has no variant of this name.
    """
    manifest = pack.manifest
    if manifest is None or variant not in (AUTO, *pack.variants):
        _check_name(pack, variant)
        return _base(pack, _open_base(pack, provider, threads))
    if variant != AUTO:
        return _choose_named(pack, manifest, variant, provider, threads)
    candidates = _by_speed(pack)
    if not candidates:
        return _base(pack, _open_base(pack, provider, threads))
    if resolve(provider)[0] != CPU:
        opened = _open_base(pack, provider, threads)
        where = short_name(opened.provider)
        if opened.provider != CPU:
            return _base(pack, opened, [f"variants are for the CPU: the base runs on {where}."])
    return _first_that_replays(pack, manifest, candidates, threads)


def _by_speed(pack: Pack) -> list[VariantFiles]:
    """Return the variants that were faster than the base, the fastest first."""
    faster = [each for each in pack.variants.values() if each.entry.ratio > 1]
    return sorted(faster, key=lambda each: (-each.entry.ratio, each.name))


def _first_that_replays(
    pack: Pack, manifest: Manifest, candidates: Sequence[VariantFiles], threads: int
) -> Chosen:
    notes: list[str] = []
    read_sample = _sample_reader(pack, manifest.signature)
    for each in candidates:
        try:
            opened = _open_variant(each, pack, manifest, threads)
            fault = _fault(each, pack, manifest, opened, read_sample)
        except (PackError, ProviderError) as exc:
            fault = f"{exc.message} → {exc.remedy}" if exc.remedy else exc.message
        else:
            if not fault:
                return Chosen(opened, manifest.signature, each.name, tuple(notes))
        notes.append(_note(each, fault))
    return _base(pack, _open_base(pack, CPU_NAME, threads), notes)


def _choose_named(pack: Pack, manifest: Manifest, name: str, provider: str, threads: int) -> Chosen:
    if resolve(provider)[-1] != CPU:
        raise ProviderError(
            f"variant {name!r} is for the CPU, but provider {provider!r} was requested.",
            remedy="use provider 'cpu', or variant 'base'",
        )
    found = pack.variants[name]
    opened = _open_variant(found, pack, manifest, threads)
    read_sample = _sample_reader(pack, manifest.signature)
    fault = _fault(found, pack, manifest, opened, read_sample)
    if fault:
        raise ProviderError(
            f"variant {name!r} answers differently here than where it was made: {fault}",
            remedy="use variant 'auto' or 'base': the base is proven",
        )
    return Chosen(opened, manifest.signature, name)


def _check_name(pack: Pack, name: str) -> None:
    """Raise an error if the pack has no variant of this name."""
    if name in (AUTO, BASE):
        return
    if pack.manifest is not None and name in pack.manifest.variants:
        raise PackError(f"variant {name!r} is listed in pack.json, but its files are missing.")
    from difflib import get_close_matches

    names = [AUTO, BASE, *pack.variants]
    near = get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UsageError(
        f"{pack.name} has no variant {name!r}, expected one of: {', '.join(names)}.{hint}"
    )


def _open_base(pack: Pack, provider: str, threads: int) -> Opened:
    with private_copy(pack, pack.model_path) as graph:
        return open_on(graph, provider, threads=threads)


def _base(pack: Pack, opened: Opened, notes: Sequence[str] = ()) -> Chosen:
    found = read_signature(opened.session)
    if pack.manifest is None:
        return Chosen(opened, found)
    agree(pack.manifest.signature, found)
    return Chosen(opened, pack.manifest.signature, None, tuple(notes))


def _open_variant(variant: VariantFiles, pack: Pack, manifest: Manifest, threads: int) -> Opened:
    recipe, base = variant.entry.recipe, manifest.files.get(MODEL)
    # Its evidence was compared with that graph's answers, and shows nothing about this one.
    if base is None or variant.entry.base != base.sha256:
        raise PackError(f"variant {variant.name!r} was made from another {MODEL}.")
    with private_copy(pack, variant.model_path) as graph:
        if recipe.runtime == OPENVINO:
            session = open_openvino(
                graph, manifest.signature, precision=recipe.precision, threads=threads
            )
            agree(manifest.signature, session.signature)
            return Opened(session, CPU, {CPU: session.nodes}, OPENVINO)
        opened = open_on(graph, CPU_NAME, threads=threads)
    agree(manifest.signature, read_signature(opened.session))
    return opened


def _fault(
    variant: VariantFiles,
    pack: Pack,
    manifest: Manifest,
    opened: Opened,
    read_sample: ReadSample,
) -> str:
    """Return why a variant cannot be used here; empty if its evidence replays.

    Raises:
        PackError: golden data cannot be read, or is missing.
    """
    signature = manifest.signature
    predict = _runner(opened, signature)
    if variant.entry.exact:
        findings = replay_example(predict, pack, read_sample())
    else:
        findings = replay_variant(predict, variant, signature)
    wrong = next((each for each in findings if each.level is Level.ERROR), None)
    return f"{wrong.subject}: {wrong.message}" if wrong else ""


def _runner(opened: Opened, signature: Signature) -> Run:
    names = [spec.name for spec in signature.outputs]

    def predict(feed: Mapping[str, Array]) -> dict[str, Array]:
        bound = signature.bind((), feed)
        values = run(opened.session, names, bound, short_name(opened.provider))
        return dict(zip(names, values, strict=True))

    return predict


def _sample_reader(pack: Pack, signature: Signature) -> ReadSample:
    @cache
    def read() -> Example:
        if not pack.golden:
            raise PackError("the pack has no golden data to check it with.")
        return read_example(pack.golden[0], signature)

    return read


def _note(variant: VariantFiles, fault: str) -> str:
    """Return a sentence that says which variant is not used, why, and what that costs."""
    entry = variant.entry
    return (
        f"variant {variant.name!r} is not used here: {fault.rstrip('.')}. It was {entry.ratio:.2f} "
        f"times as fast as the base on {entry.speed.processor}."
    )
