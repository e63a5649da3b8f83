"""Export with ``torch.export`` and the exporter that is built on it (``dynamo=True``).

``torch.export`` refuses what it cannot follow, and states the sizes for which its graph holds.
These guards become cases of the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import Place, listed
from onnxpack.exporters.ports import name_ports
from onnxpack.exporters.torch.rewrite.one_hot import ONE_HOT, exported_one_hot
from onnxpack.exporters.torch.rewrite.views import with_known_views
from onnxpack.exporters.torch.setup import Setup
from onnxpack.exporters.torch.watch.conditions import Condition
from onnxpack.exporters.torch.watch.gradients import differentiated
from onnxpack.exporters.torch.watch.guards import Program, explore, guards_of, limits_of
from onnxpack.exporters.torch.watch.symbolic import text_of_sizes
from onnxpack.parity.ask import refuse_too_large
from onnxpack.parity.cases import tile
from onnxpack.parity.refused import at_sizes
from onnxpack.parity.subject import Probes

MAX_SIZE = 2**20
"""The largest limit of a given program that is tried."""


@dataclass(frozen=True)
class Dynamo:
    """The strategies that use ``torch.export``.

    Attributes:
        limits: the sizes for which the programs that were made are right.
    """

    setup: Setup
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def export(self, to: Path) -> Probes:
        """Export the model, and return the sizes at which its guards do not hold."""
        program = self._exported(self.setup.tensors())
        self._save(program, to)
        return self._explore(program, self._exported)

    def _exported(self, tensors: Sequence[torch.Tensor]) -> torch.export.ExportedProgram:
        with self.setup.followed(), _no_text_of_sizes():
            program = torch.export.export(
                self.setup.flat,
                tuple(tensors),
                dynamic_shapes=(self._shapes(tensors),),
                strict=False,
            )
        self._note_limits(program)
        return program

    def _note_limits(self, program: torch.export.ExportedProgram) -> None:
        """Widen the limits by those of a further program."""
        for dim, (low, high) in limits_of(program, self.setup.subject.sample, self.setup.axes):
            least, most = self.limits.get(dim, (low, high))
            self.limits[dim] = (min(low, least), max(high, most))

    def _shapes(self, tensors: Sequence[torch.Tensor]) -> tuple[dict[int, Any], ...]:
        """Return the axes of each input that may vary, in the format of ``torch.export``."""
        dynamic = torch.export.Dim.DYNAMIC
        return tuple(
            {axis: dynamic for axis in self.setup.axes[name] if tensor.shape[axis] > 1}
            for name, tensor in zip(self.setup.subject.sample, tensors, strict=True)
        )

    def differentiate(self, to: Path) -> Probes:
        """Export a model that differentiates in ``forward``, with an explicit backward pass."""
        tensors = self.setup.tensors()
        made = self._differentiated(tensors)
        with self.setup.followed():
            program = torch.export.export(
                made, tensors, dynamic_shapes=self._shapes(tensors), strict=False
            )
        self._note_limits(program)
        self._save(program, to)
        return self._explore(made, self._differentiated)

    def _differentiated(self, tensors: Sequence[torch.Tensor]) -> torch.fx.GraphModule:
        with self.setup.followed():
            return differentiated(self.setup.flat, tensors, self._shapes(tensors))

    def _explore(
        self, program: Program, export: Callable[[Sequence[torch.Tensor]], Program]
    ) -> Probes:
        """Return sizes at which the program's guards, and guards of programs there, do not hold."""
        sample, axes = self.setup.subject.sample, self.setup.axes

        def conditions_at(dims: Mapping[str, int]) -> Sequence[Condition]:
            tensors = self._answered_at(dims)
            if tensors is None:
                return ()
            try:
                return guards_of(export(tensors), sample, axes)
            except ExportError as exc:
                raise ExportError(
                    f"the graph may be wrong at {at_sizes(dims)}, where torch.export says: "
                    f"{exc.message}"
                ) from exc

        return explore(guards_of(program, sample, axes), conditions_at, self.setup.sizes)

    def _answered_at(self, dims: Mapping[str, int]) -> tuple[torch.Tensor, ...] | None:
        """Return the sample at other sizes as tensors; None if the model itself refuses it."""
        feeds = tile(self.setup.subject.sample, self.setup.axes, dims)
        refuse_too_large(feeds, dims)
        try:
            self.setup.subject.run(feeds)
        except Exception:  # noqa: BLE001 - what the model refuses needs no graph
            return None
        return self.setup.subject.tensors(feeds)

    def save_program(self, to: Path) -> Probes:
        """Export the program that the user gave, and return the sizes just beyond its limits."""
        program = self.setup.subject.program
        self._save(program, to)
        if program is not None:
            self._note_limits(program)
        found: list[Mapping[str, int]] = []
        for dims in self._beyond_limits():
            with suppress(ExportError):  # sizes that are too large to try
                # What the program answers there is left unproven, like other sizes between cases.
                if self._answered_at(dims) is None:
                    found.append(dims)
        return found

    def _beyond_limits(self) -> Iterator[Mapping[str, int]]:
        own = self.setup.sizes
        for dim, (low, high) in self.limits.items():
            if low > 1:
                yield {**own, dim: int(low) - 1}
            if high < MAX_SIZE:
                yield {**own, dim: int(high) + 1}

    def _save(self, program: torch.export.ExportedProgram | None, to: Path) -> None:
        with self.setup.followed():
            converted = torch.onnx.export(
                None if program is None else with_known_views(program),  # type: ignore[arg-type]
                dynamo=True,
                opset_version=self.setup.opset,
                custom_translation_table={ONE_HOT: exported_one_hot},
                verbose=False,
            )
            if converted is None:
                raise ExportError("torch.onnx.export returned no program")
            name_ports(converted.model.graph, list(self.setup.subject.sample), self.setup.outputs)
            converted.save(to)


@contextmanager
def _no_text_of_sizes() -> Iterator[None]:
    """Refuse a model that turns a size into text: ``torch.export`` gives it the symbol's name.

    Raises:
        ExportError: the model turned a size into text.
    """
    places: dict[Place, None] = {}
    with text_of_sizes(lambda _, place: places.setdefault(place)):
        yield
    if places:
        raise ExportError(f"a dynamic size is used as text or as a key at {listed(places)}")
