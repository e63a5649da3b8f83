"""Open the model that a pack was made from, with a sample restored from golden data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from onnxpack.errors import OnnxpackError, ParityError, SampleError
from onnxpack.exporters.choose import exporter_for
from onnxpack.pack.model import Pack
from onnxpack.parity.subject import Subject
from onnxpack.runtime.replay import prove
from onnxpack.signature import Array, Signature

TABULAR = ("catboost", "lightgbm", "sklearn", "xgboost")
REMEDY = "if it is the same model, give the same sample as at export: --sample SPEC"
BY_NAME = ("lightning", "torch", "transformers")


@contextmanager
def open_beside(
    pack: Pack, signature: Signature, model: Any, golden: Mapping[str, Array], sample: Any = None
) -> Iterator[Subject]:
    """Open the model that a pack was made from.

    Args:
        pack: the pack, with its golden data.
        signature: the signature of the pack.
        model: the model that was exported.
        golden: inputs of the pack, by name.
        sample: the sample that was given at export; by default it is restored from ``golden``.

    Raises:
        SampleError: the sample must be given, since the inputs have a structure of their own.
        ParityError: the model's answers are not the pack's: it is another model.
    """
    given = restore(pack, golden) if sample is None else sample
    with ExitStack() as stack:
        try:
            subject = stack.enter_context(exporter_for(model, given).open(model, given))
        except SampleError as exc:
            raise exc if sample is not None else _ask(pack, exc) from exc
        inputs = [spec.name for spec in signature.inputs]
        if list(subject.sample) != inputs:
            raise SampleError(
                f"the model takes {', '.join(subject.sample)}, but the pack takes "
                f"{', '.join(inputs)}: it is not the {_framework(pack)} model that the pack was "
                "made from, or the sample has a different structure than at export.",
                remedy=REMEDY,
            )
        _refuse_another(subject, pack, signature)
        yield subject


def restore(pack: Pack, golden: Mapping[str, Array]) -> Any:
    """Return golden inputs in the form of a sample of the pack's framework."""
    framework = pack.manifest.source.framework if pack.manifest else ""
    if framework in TABULAR:
        (name, first), *others = golden.items()
        if not others and name == "X":
            return first
        import pandas as pd

        return pd.DataFrame({name: array[:, 0] for name, array in golden.items()})
    if framework in BY_NAME and len(golden) > 1:
        return dict(golden)
    return tuple(golden.values())


def _refuse_another(subject: Subject, pack: Pack, signature: Signature) -> None:
    found = prove(subject.run, pack, signature)
    if not found.ok:
        first = found.errors[0]
        raise ParityError(
            f"{subject.model_class} answers differently from {pack.path}: {first.subject}: "
            f"{first.message.rstrip('.')}. It is not the model that the pack was made from.",
            remedy="give the model with the weights that were exported",
        )


def _ask(pack: Pack, exc: OnnxpackError) -> SampleError:
    return SampleError(
        f"the golden data of {pack.path} is not a sample of this model: "
        f"{exc.message.rstrip('.')}. It is not the {_framework(pack)} model that the pack was "
        "made from, or its sample has a different structure.",
        remedy=REMEDY,
    )


def _framework(pack: Pack) -> str:
    return pack.manifest.source.framework if pack.manifest else "original"
