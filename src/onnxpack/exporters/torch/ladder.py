"""The ladder: PyTorch's exporters, in the order in which they are worth trying.

Tracing by the TorchScript exporter is fast and its graphs fuse best, and it is silently wrong
where Python decides from values or from a size that is to vary: then it is not tried at all.
``torch.export`` (dynamo) refuses what it cannot follow, and tells the sizes for which its graph
holds. Scripting keeps branches and loops. Everything is traced at a batch of two or more: at one,
it freezes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from onnxpack.errors import ExportError
from onnxpack.exporters.ports import name_ports
from onnxpack.exporters.torch.causes import plain_words
from onnxpack.exporters.torch.decompose.mode import Decomposed
from onnxpack.exporters.torch.patch.detectors import boxes_may_lack, has_no_order
from onnxpack.exporters.torch.patch.encoders import fast_encoders, padding_left_out
from onnxpack.exporters.torch.patch.forks import forks_inline
from onnxpack.exporters.torch.patch.masks import masks_unasked
from onnxpack.exporters.torch.patch.packed import plainly_packed
from onnxpack.exporters.torch.patch.silence import quiet
from onnxpack.exporters.torch.rewrite.forms import forms_known
from onnxpack.exporters.torch.rewrite.restated import restated
from onnxpack.exporters.torch.rewrite.scriptable import loaded_anew, with_plain_cells
from onnxpack.exporters.torch.rewrite.views import with_known_views
from onnxpack.exporters.torch.watch.conditions import Condition, all_differing
from onnxpack.exporters.torch.watch.copies import watch_copies
from onnxpack.exporters.torch.watch.frames import Place
from onnxpack.exporters.torch.watch.gradients import differentiated, find_gradient
from onnxpack.exporters.torch.watch.guards import Program, explore, guards_of
from onnxpack.exporters.torch.watch.scripted import refuse_lost_writes
from onnxpack.exporters.torch.watch.selftest import check_witnesses
from onnxpack.exporters.torch.watch.sizes import Learned, differing, watch_trace
from onnxpack.exporters.torch.watch.symbolic import Observation, witness
from onnxpack.exporters.torch.watch.unseen import Unseen, watch_unseen
from onnxpack.exporters.torch.watch.values import find_conversions
from onnxpack.parity.ask import at_sizes, refuse_too_large
from onnxpack.parity.cases import Axes, sizes, tile
from onnxpack.parity.subject import Probes, Strategy

if TYPE_CHECKING:
    from onnxpack.exporters.torch.flat import FlatModule
    from onnxpack.exporters.torch.subject import TorchSubject

MAX_TORCHSCRIPT_OPSET = 20
NARROWED = (
    "the model is of float64: the graph computes in float32, for which ONNX Runtime has kernels, "
    "and is proven within the tolerance against the model in float64"
)
EMPTY_ROWS = ", zeros for empty rows"
DIFFERENTIATED = "dynamo, differentiated"


@dataclass(frozen=True)
class Ladder:
    """The strategies for one subject.

    Attributes:
        empty_rows: let attention give zeros where a row may look at nothing; else it gives NaN.
    """

    subject: TorchSubject
    axes: Axes
    opset: int
    outputs: tuple[str, ...]
    empty_rows: bool = True

    def climb(self) -> Iterator[Strategy]:
        """The strategies, best first."""
        if isinstance(self.subject.model, torch.jit.ScriptModule):
            yield self._strategy("torchscript", self._script)
            return
        if self.subject.program is not None:
            yield self._strategy("dynamo", self._export_program)
            return
        check_witnesses()
        with watch_unseen() as unseen, watch_copies() as copies:
            gradient = find_gradient(lambda: copies.returned(self.subject.answer()))
        _refuse(unseen, self.subject.model_class)
        copies.refuse(self.subject.model_class)
        self._refuse_hidden_by_precision()
        if gradient:
            yield self._strategy(DIFFERENTIATED, self._differentiate)
            return
        for ladder, suffix in self._by_empty_rows():
            yield ladder._strategy(f"torchscript trace{suffix}", ladder._trace)  # noqa: SLF001
            yield ladder._strategy(f"dynamo{suffix}", ladder._dynamo)  # noqa: SLF001
        if not unseen.scripting:  # TorchScript would take the branch that nobody runs
            yield self._strategy("torchscript script", self._script)
        narrow = self.subject.in_float32()
        if narrow is not None:
            for strategy in replace(self, subject=narrow).climb():
                yield replace(strategy, note=NARROWED)

    def _by_empty_rows(self) -> list[tuple[Ladder, str]]:
        """The ways in which attention answers a row that may look at nothing, likelier first.

        PyTorch 2.14 gives NaN in the fast path of self-attention and with ``need_weights``, and
        zeros elsewhere. Which of them a model takes hangs on its call, so the proof decides.
        """
        attends = any(isinstance(part, nn.MultiheadAttention) for part in self._flat.modules())
        if not attends:
            return [(self, "")]
        plain = replace(self, empty_rows=False)
        decodes = any(isinstance(part, nn.TransformerDecoderLayer) for part in self._flat.modules())
        both = [(plain, ""), (self, EMPTY_ROWS)]
        return both[::-1] if decodes else both

    def _refuse_hidden_by_precision(self) -> None:
        """Refuse code that decides by values in low precision and not in float32.

        ``if y.dtype == torch.float16 and y.isinf().any()``: the graph is made of the model in
        float32, where such a branch is never reached.

        Raises:
            ExportError: there is some.
        """
        sample = self.subject.sample
        narrow = find_conversions(lambda: self.subject.run_narrow(sample))
        wide = find_conversions(lambda: self.subject.run(sample)) if narrow else ()
        hidden = [place for place in narrow if place not in wide]
        if hidden:
            raise ExportError(
                f"{self.subject.model_class} was not exported: in its own precision forward() "
                f"decides from a tensor's values, which a graph cannot, at {_listed(hidden)}.",
                remedy="export model.float() with a float32 sample",
            )

    @cached_property
    def _flat(self) -> FlatModule:
        """The subject's module, in a form that the exporters follow."""
        model = restated(self.subject.model)
        return self.subject.flat if model is self.subject.model else self.subject.flat.around(model)

    @cached_property
    def _fast(self) -> frozenset[torch.nn.Module]:
        """The encoders that may leave the padding out."""
        return fast_encoders(self.subject.model) | fast_encoders(self._flat.model)

    def _strategy(self, name: str, make: Callable[[Path], Probes]) -> Strategy:
        return Strategy(f"{name}{self.subject.manner}", make)

    def _tensors(self, *, grown: bool = False) -> tuple[torch.Tensor, ...]:
        """The sample with each dynamic dim at a size of its own, at least two.

        Args:
            grown: at a larger size than otherwise, each dim by a step of its own.
        """
        dims: dict[str, int] = {}
        for dim, size in sizes(self.subject.sample, self.axes).items():
            chosen = max(size, 2)
            while chosen in dims.values():
                chosen += 1
            dims[dim] = chosen
        if grown:
            dims = {dim: size + step for step, (dim, size) in enumerate(dims.items(), 1)}
        return self.subject.tensors(tile(self.subject.sample, self.axes, dims))

    def _trace(self, to: Path) -> Probes:
        """Trace, if both witnesses saw nothing that decides: the watches and the symbolic run."""
        with padding_left_out(self._fast), Decomposed(empty_rows=self.empty_rows), masks_unasked():
            conversions = find_conversions(lambda: self.subject.run(self.subject.sample))
        if conversions:
            raise ExportError(
                f"not traced, since a tensor's values decide at {_listed(conversions)}"
            )
        # torchvision's detectors look for boxes in values, which a run without values cannot
        # follow; their own forward() is written for this tracer, and test_families.py proves it.
        known = has_no_order(self.subject.model)
        observed = Observation((), ()) if known else self._witness(self._tensors())
        if observed.decisions:
            raise ExportError(
                "not traced, since a size that varies decides at "
                f"{_listed(place for place, _ in observed.decisions)}"
            )
        if observed.stale:
            raise ExportError(
                "not traced, since what was written in place is read through another view at "
                f"{_listed(observed.stale)}"
            )
        with watch_trace() as learned:
            self._torchscript(self._flat, to)
        decisions = self._size_decisions() if learned else []
        if decisions:
            raise ExportError(
                f"not traced, since a size that varies decides at {_listed(decisions)}"
            )
        return all_differing(observed.conditions)

    def _witness(self, tensors: Sequence[torch.Tensor]) -> Observation:
        """What a run without values saw; it must have come to its end."""
        axes = [self.axes.get(name, {}) for name in self.subject.sample]
        own = {
            dim: tensor.shape[axis]
            for tensor, named in zip(tensors, axes, strict=True)
            for axis, dim in named.items()
        }
        try:
            with self._traceable():
                return witness(self._flat, tensors, axes, own)
        except ExportError as exc:
            raise ExportError(
                f"not traced, since a run without values did not come to its end: {exc.message}"
            ) from exc

    @property
    def _own_sizes(self) -> Mapping[str, int]:
        return sizes(self.subject.sample, self.axes)

    def _size_decisions(self) -> list[Place]:
        """The places where Python decides from a size that is to vary."""
        return differing(self._learn(grown=False), self._learn(grown=True))

    def _learn(self, *, grown: bool) -> list[Learned]:
        with self._traceable(), watch_trace() as learned:
            self._jit_trace(self._flat, grown=grown)
        return learned

    def _jit_trace(self, module: torch.nn.Module, *, grown: bool = False) -> torch.nn.Module:
        traced: torch.nn.Module = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, self._tensors(grown=grown), check_trace=False
        )
        return traced

    def _script(self, to: Path) -> Probes:
        model: Any = self._flat.model
        with self._followed():
            if hasattr(model, "to_torchscript"):  # a LightningModule, which knows its own way
                model = model.to_torchscript()
            elif isinstance(model, torch.jit.ScriptModule):
                model = loaded_anew(model)
            else:
                model = torch.jit.script(with_plain_cells(model))
            refuse_lost_writes(model)
            traced = self._jit_trace(self._flat.around(model))
        self._torchscript(traced, to)
        return ()

    def _torchscript(self, module: torch.nn.Module, to: Path) -> None:
        if self.opset > MAX_TORCHSCRIPT_OPSET:
            raise ExportError(f"writes opset {MAX_TORCHSCRIPT_OPSET} at most")
        with self._traceable():
            torch.onnx.export(
                module,
                self._tensors(),
                to,
                dynamo=False,
                opset_version=self.opset,
                input_names=list(self.subject.sample),
                output_names=list(self.outputs),
                dynamic_axes={name: dict(named) for name, named in self.axes.items() if named},
            )

    @contextmanager
    def _traceable(self) -> Iterator[None]:
        with (
            self._followed(),
            plainly_packed(self._flat.model),
            forms_known(self.opset),
            boxes_may_lack(),
        ):
            yield

    @contextmanager
    def _followed(self) -> Iterator[None]:
        """What stands in while an exporter looks at the model."""
        with (
            quiet(),
            padding_left_out(self._fast),
            Decomposed(empty_rows=self.empty_rows),
            masks_unasked(),
            forks_inline(),
            _in_plain_words(),
        ):
            yield

    def _dynamo(self, to: Path) -> Probes:
        program = self._export(self._tensors())
        self._save_dynamo(program, to)
        return self._explore(program, self._export)

    def _export(self, tensors: Sequence[torch.Tensor]) -> torch.export.ExportedProgram:
        with self._followed():
            return torch.export.export(
                self._flat, tuple(tensors), dynamic_shapes=(self._shapes(tensors),), strict=False
            )

    def _shapes(self, tensors: Sequence[torch.Tensor]) -> tuple[dict[int, Any], ...]:
        """The axes of each input that may vary, in the words of torch.export."""
        dynamic = torch.export.Dim.DYNAMIC
        return tuple(
            {axis: dynamic for axis in self.axes[name] if tensor.shape[axis] > 1}
            for name, tensor in zip(self.subject.sample, tensors, strict=True)
        )

    def _differentiate(self, to: Path) -> Probes:
        tensors = self._tensors()
        made = self._differentiated(tensors)
        with self._followed():
            program = torch.export.export(
                made, tensors, dynamic_shapes=self._shapes(tensors), strict=False
            )
        self._save_dynamo(program, to)
        return self._explore(made, self._differentiated)

    def _differentiated(self, tensors: Sequence[torch.Tensor]) -> torch.fx.GraphModule:
        with self._followed():
            return differentiated(self._flat, tensors, self._shapes(tensors))

    def _explore(
        self, program: Program, export: Callable[[Sequence[torch.Tensor]], Program]
    ) -> Probes:
        """The sizes at which the program's guards, and those behind them, do not hold."""
        sample, axes = self.subject.sample, self.axes

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

        return explore(guards_of(program, sample, axes), conditions_at, self._own_sizes)

    def _answered_at(self, dims: Mapping[str, int]) -> tuple[torch.Tensor, ...] | None:
        """The sample at other sizes; None where the model itself refuses it."""
        feeds = tile(self.subject.sample, self.axes, dims)
        refuse_too_large(feeds, dims)
        try:
            self.subject.run(feeds)
        except Exception:  # noqa: BLE001 - what the model refuses needs no graph
            return None
        return self.subject.tensors(feeds)

    def _export_program(self, to: Path) -> Probes:
        self._save_dynamo(self.subject.program, to)
        return ()

    def _save_dynamo(self, program: torch.export.ExportedProgram | None, to: Path) -> None:
        with self._followed():
            converted = torch.onnx.export(
                None if program is None else with_known_views(program),  # type: ignore[arg-type]
                dynamo=True,
                opset_version=self.opset,
                verbose=False,
            )
            if converted is None:
                raise ExportError("torch.onnx.export gave no program")
            name_ports(converted.model.graph, list(self.subject.sample), self.outputs)
            converted.save(to)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Translate whatever an exporter raises; it can be anything at all."""
    try:
        yield
    except ExportError:
        raise
    except Exception as exc:
        raise ExportError(plain_words(exc)) from exc


def _refuse(unseen: Unseen, model: str) -> None:
    """Refuse a model of which no exporter can be trusted to see what its users see.

    Raises:
        ExportError: there is a cause.
    """
    cause = unseen.cause()
    if cause is not None:
        raise ExportError(f"{model} was not exported: {cause.reason}.", remedy=cause.remedy)


def _listed(places: Iterable[Place | str]) -> str:
    return "; ".join(map(str, list(places)[:3]))
