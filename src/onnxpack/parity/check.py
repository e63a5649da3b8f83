"""Check a pack: whether it is unchanged, proven here, and the one that was expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from onnxpack.errors import PackError, ProviderError
from onnxpack.notebook import to_html, to_text
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack, trust
from onnxpack.pack.validate import validate
from onnxpack.parity.limited import Prover, Replayed
from onnxpack.report import Finding, Report, error, report, warning, words
from onnxpack.runtime.providers import AUTO, survey
from onnxpack.runtime.variants import BASE

MakeFinding: TypeAlias = Callable[[str, str, str], Finding]


class Checked(msgspec.Struct, frozen=True):
    """The result of a check.

    Attributes:
        unchanged: whether every file has the digest that ``pack.json`` names, and nothing in the
            pack contradicts another part of it. Whoever can write all of a pack can also make it
            so.
        proven: whether golden data was replayed here, on every provider that was tried, and the
            graph gave the framework's answers.
        trusted: whether the pack's digest is the one that the user gave.
        digest: the pack's digest; None without a manifest.
        report: all findings.
    """

    unchanged: bool
    proven: bool
    trusted: bool
    digest: str | None
    report: Report

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return self.report.ok

    @property
    def words(self) -> str:
        """What holds of the pack, such as ``unchanged, proven``."""
        return words(unchanged=self.unchanged, proven=self.proven, trusted=self.trusted)

    def __repr__(self) -> str:
        return to_text(self.words, self.report.facts)

    def _repr_html_(self) -> str:
        return to_html(self.words, self.report.facts)


def check(
    pack: Pack | str | Path,
    *,
    provider: str | None = None,
    variant: str = AUTO,
    digest: str | None = None,
) -> Checked:
    """Check every part of a pack, and replay its golden data here.

    Args:
        pack: a pack, or the path of a pack, a model-zoo folder or an ``.onnx`` file.
        provider: the only provider to replay on; None replays on each one that works here.
        variant: the only variant to replay, or ``base``; ``auto`` replays all. A variant that does
            not replay here is a warning, because the base then answers; it is an error if it is
            named.
        digest: ``sha256:…`` of the pack that is expected.

    Raises:
        PackError: the path does not exist.
        UsageError: the digest is malformed, or the variant does not exist.
    """
    try:
        opened = pack if isinstance(pack, Pack) else open_pack(pack)
        opened = trust(opened, digest) if digest is not None else opened
    except PackError as exc:
        if not isinstance(pack, Pack) and not Path(pack).exists():
            raise
        return Checked(False, False, False, None, report([_as_error("pack", exc)]))
    found = validate(opened)
    unchanged = opened.manifest is not None and found.ok
    if found.ok:
        replayed = _replay(opened, provider, variant)
        found += replayed.findings
        return Checked(unchanged, replayed.proven, opened.trusted, opened.digest, found)
    found += report([warning("golden data", "not replayed: the pack has errors")])
    return Checked(unchanged, False, opened.trusted, opened.digest, found)


def _replay(pack: Pack, provider: str | None, variant: str) -> Replayed:
    prover = Prover(pack)
    if variant == AUTO:
        base = _replay_base(prover, provider)
        variants = _replay_variants(prover, pack, provider)
        return Replayed(base.findings + variants, base.proven)
    if variant == BASE:
        return _replay_base(prover, provider)
    return _replay_variant(prover, variant, provider or AUTO, error)


def _replay_base(prover: Prover, provider: str | None) -> Replayed:
    if provider is not None:
        return prover.prove(provider)
    found, proven = Report(()), []
    for status in survey():
        if not status.works:
            continue
        try:
            replayed = prover.prove(status.short)
        except ProviderError as exc:
            found += report([warning(status.short, exc.message, exc.remedy)])
        except PackError as exc:
            found += report([_as_error(status.short, exc)])
            proven.append(False)
        else:
            found += replayed.findings
            proven.append(replayed.proven)
    return Replayed(found, bool(proven) and all(proven))


def _replay_variants(prover: Prover, pack: Pack, provider: str | None) -> Report:
    """Replay each variant on its own; variants are for the CPU."""
    found = Report(())
    if provider in (None, "auto", "cpu"):
        for name in pack.variants:
            found += _replay_variant(prover, name, "cpu", warning).findings
    return found


def _replay_variant(prover: Prover, name: str, provider: str, fault: MakeFinding) -> Replayed:
    """Replay one variant; use ``fault`` to make the finding if it cannot be used here."""
    try:
        return prover.prove(provider, name)
    except (PackError, ProviderError) as exc:
        return Replayed(report([fault(f"variant {name}", exc.message, exc.remedy)]), False)


def _as_error(subject: str, exc: PackError) -> Finding:
    return error(subject, exc.message, exc.remedy)
