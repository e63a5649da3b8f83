"""The base class of the exporters of boosters."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from onnxpack.errors import SampleError
from onnxpack.exporters.overrides import refuse_overrides
from onnxpack.exporters.unchanged import unchanged

if TYPE_CHECKING:
    from onnxpack.exporters.trees.subject import BoosterSubject


class BoosterExporter(ABC):
    """An exporter of one framework's boosters, whose estimators are scikit-learn's as well.

    Attributes:
        module: the module that a user imports.
        a_model: the name of one of the framework's models in messages.
    """

    refines = "sklearn"
    module: str
    a_model: str

    @abstractmethod
    def kinds(self, framework: Any) -> tuple[type, ...]:
        """Return the classes of models that this exporter accepts, from the framework's module."""

    @abstractmethod
    def make_subject(self, model: Any, sample: Any) -> BoosterSubject:
        """Return the subject of a model and its sample."""

    def accepts(self, model: object) -> bool:
        """Return whether the model is the framework's, which is not imported to say no."""
        framework = sys.modules.get(self.module)
        return framework is not None and isinstance(model, self.kinds(framework))

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[BoosterSubject]:
        """Open the model with its sample; the model is not changed.

        Raises:
            ExportError: the user's own code computes the model's answers.
            SampleError: no sample was given.
        """
        kinds = self.kinds(sys.modules[self.module])
        inner = (each for each in getattr(model, "__dict__", {}).values())
        boosters = (each for each in inner if isinstance(each, kinds))
        refuse_overrides([model, *boosters], {self.module, "sklearn"})
        if sample is None:
            raise SampleError(
                f"{self.a_model} needs a sample of its rows.",
                remedy="onnxpack.export(model, X[:5], ...)",
                option="--sample rows.npy",
            )
        with unchanged(model):
            yield self.make_subject(model, sample)
