"""The model: a pack, opened on a provider, that can be called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from onnxpack.errors import UsageError
from onnxpack.notebook import to_html
from onnxpack.pack.manifest import Preprocess, at_zero
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.report import Report
from onnxpack.runtime import replay
from onnxpack.runtime.feed import Feeder
from onnxpack.runtime.providers import AUTO, short_name
from onnxpack.runtime.session import ONNXRUNTIME, Session, foreign_errors, run_error
from onnxpack.runtime.threads import read_budget
from onnxpack.runtime.variants import choose
from onnxpack.signature import Array


class Model:
    """A pack that can be called, also from several threads at once.

    Args:
        pack: a pack, or the path of a pack, a model-zoo folder or a bare ``.onnx`` file.
        provider: ``auto``, or an execution provider's short or full name. It is an error if a named
            provider does not truly run.
        threads: threads of one operator; by default what CPU affinity and quota allow.
        variant: name of a faster graph of the pack; ``base``, the proven graph; or ``auto``, the
            fastest variant whose evidence replays on this machine, else the base.

    Attributes:
        pack: the opened pack.
        signature: the manifest's signature, else the graph's own.
        provider: short name of the provider that runs.
        placement: number of nodes that each provider truly runs, by short name.
        threads: threads of one operator.
        variant: name of the variant that answers; None for the base.
        runtime: runtime of the graph: ``onnxruntime``, or ``openvino`` for some variants.
        notes: which faster variants are not used here, why, and what that costs.

    Raises:
        PackError: the pack is malformed, or its graph cannot be loaded.
        ProviderError: the provider is unknown, not installed, or runs no part of the graph; or the
            named variant answers differently here than where it was made.
        UsageError: ``threads`` is not a positive number, or the variant does not exist.
    """

    def __init__(
        self,
        pack: Pack | str | Path,
        *,
        provider: str = AUTO,
        threads: int | None = None,
        variant: str = AUTO,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads is {threads}, expected at least 1.")
        self.pack: Final = pack if isinstance(pack, Pack) else open_pack(pack)
        self.threads: Final = threads or read_budget().threads
        chosen = choose(self.pack, variant, provider, threads=self.threads)
        opened = chosen.opened
        self.signature: Final = chosen.signature
        self.variant: Final = chosen.variant
        self.notes: Final = chosen.notes
        self.runtime: Final = opened.runtime
        self.provider: Final = short_name(opened.provider)
        self.placement: Final = {short_name(k): n for k, n in opened.placement.items()}
        self._feeder: Final = Feeder(
            self.signature,
            at_least_one=_at_least_one(self.pack),
            careful=opened.runtime != ONNXRUNTIME,
        )
        self._opened: Final = opened  # keeps the weights that the session reads
        self._session: Final[Session] = opened.session
        self._outputs: Final = [spec.name for spec in self.signature.outputs]
        self._foreign: Final = foreign_errors()

    def __call__(self, *args: Any, **named: Any) -> Array | dict[str, Array]:
        """Predict from values by position or by name, or from one mapping or data frame.

        Returns:
            The output's array; with several outputs, an array for each by name.

        Raises:
            FeedError: an input is missing, unknown, or does not fit; the message says how.
            PackError: the graph failed.
        """
        feed = self._feeder(args, named)
        try:
            values = self._session.run(self._outputs, feed)
        except self._foreign as exc:
            raise self._explain(exc, feed) from exc
        if len(values) == 1:
            return values[0]
        return dict(zip(self._outputs, values, strict=True))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Predict from values by name, and return an array for each output by name.

        Raises:
            FeedError: an input is missing, unknown, or does not fit; the message says how.
            PackError: the graph failed.
        """
        feed = self._feeder((), inputs)
        try:
            values = self._session.run(self._outputs, feed)
        except self._foreign as exc:
            raise self._explain(exc, feed) from exc
        return dict(zip(self._outputs, values, strict=True))

    def bind(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Return the arrays that a prediction would use, by name, without predicting.

        Raises:
            FeedError: an input is missing, unknown, or does not fit; the message says how.
        """
        return self._feeder.bind((), inputs)

    def example(self) -> dict[str, Array]:
        """Return the inputs of the pack's first golden set, by name: ``model(**model.example())``.

        Raises:
            UsageError: the pack has no golden data.
            PackError: the golden data cannot be read.
        """
        return replay.example_inputs(self.pack, self.signature)

    def prove(self) -> Report:
        """Replay the evidence of the opened graph, with a finding for each output.

        The evidence is the pack's golden data, or the own evidence of a variant that gives up
        accuracy.
        """
        return replay.prove(self.run, self.pack, self.signature, self.variant)

    @property
    def name(self) -> str:
        """The name of the pack."""
        return self.pack.name

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes; None if the pack has none."""
        return self.pack.manifest.labels if self.pack.manifest else None

    @property
    def preprocess(self) -> Preprocess | None:
        """How a picture is converted to the input; None if the pack does not state it."""
        return self.pack.manifest.preprocess if self.pack.manifest else None

    def __repr__(self) -> str:
        variant = f" {self.variant}" if self.variant else ""
        return f"<Model {self.name}{variant} {self.signature} on {self.provider}>"

    def _repr_html_(self) -> str:
        return to_html(
            f"Model {self.name}",
            [
                ("signature", str(self.signature)),
                ("graph", self.variant or "the proven one"),
                ("runs on", f"{self.runtime}, {self.provider}, {self.threads} threads"),
                ("notes", " ".join(self.notes)),
                ("next", "model(**model.example())"),
            ],
        )

    def _explain(self, exc: Exception, feed: Mapping[str, Array]) -> Exception:
        # The complete check finds the faulty input and raises the exact message.
        self.bind(feed)
        return run_error(exc, self.provider)


def _at_least_one(pack: Pack) -> frozenset[str]:
    """Return the dynamic dims that must not be 0, according to the pack's own proof."""
    if pack.manifest is None:
        return frozenset()
    skipped = {case.name for case in pack.manifest.parity.skipped}
    return frozenset(dim for dim in pack.manifest.signature.dynamic if at_zero(dim) in skipped)
