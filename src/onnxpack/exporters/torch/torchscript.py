"""Export with the TorchScript exporter (``dynamo=False``), by traces and scripts.

Its graphs fuse best and it is fast. A trace is silently wrong if Python decides by values or by a
size that varies, so two witnesses check the model first. PyTorch 2.14 calls this exporter legacy.
If PyTorch has removed it, the ladder goes on without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import Place, listed
from onnxpack.exporters.torch.patch.detectors import boxes_may_lack, has_no_order
from onnxpack.exporters.torch.patch.packed import plainly_packed
from onnxpack.exporters.torch.patch.traced_sizes import sizes_kept_open
from onnxpack.exporters.torch.rewrite.forms import forms_known
from onnxpack.exporters.torch.rewrite.numbers import with_numbers_kept
from onnxpack.exporters.torch.rewrite.scriptable import loaded_anew, with_plain_cells
from onnxpack.exporters.torch.setup import Setup
from onnxpack.exporters.torch.watch.conditions import all_differing
from onnxpack.exporters.torch.watch.raising import SILENT
from onnxpack.exporters.torch.watch.scripted import raises_errors, refuse_lost_writes
from onnxpack.exporters.torch.watch.sizes import Learned, differing, watch_trace
from onnxpack.exporters.torch.watch.symbolic import Observation, witness
from onnxpack.exporters.torch.watch.values import find_conversions
from onnxpack.parity.subject import Probes

MAX_OPSET = 20


@dataclass
class TorchScript:
    """The strategies that use the TorchScript exporter."""

    setup: Setup
    _raises: bool = False

    def trace(self, to: Path) -> Probes:
        """Trace the model if neither the watches nor the symbolic run saw a decision."""
        with self.setup.decomposed():
            conversions = find_conversions(
                lambda: self.setup.subject.run(self.setup.subject.sample)
            )
        if conversions:
            raise ExportError(
                "not traced, because Python code depends on a tensor's values at "
                f"{listed(conversions)}"
            )
        # torchvision's detectors look for boxes in values, which a run without values cannot
        # follow; their own forward() is written for this tracer, and test_families.py proves it.
        known = has_no_order(self.setup.subject.model)
        observed = Observation((), ()) if known else self._witness(self.setup.tensors())
        if observed.decisions:
            raise ExportError(
                "not traced, because Python code depends on a dynamic size at "
                f"{listed(place for place, _ in observed.decisions)}"
            )
        if observed.stale:
            raise ExportError(
                "not traced, because a value written in place is read through another view at "
                f"{listed(observed.stale)}"
            )
        kept_open = nullcontext() if known else sizes_kept_open(observed.varying)
        with kept_open, watch_trace() as learned:
            self._export(self.setup.flat, to)
        decisions = self._size_decisions() if learned else []
        if decisions:
            raise ExportError(
                f"not traced, because Python code depends on a dynamic size at {listed(decisions)}"
            )
        return all_differing(observed.conditions)

    def _witness(self, tensors: Sequence[torch.Tensor]) -> Observation:
        """Return what a run without values saw; the run must have finished."""
        axes = [self.setup.axes.get(name, {}) for name in self.setup.subject.sample]
        own = {
            dim: tensor.shape[axis]
            for tensor, named in zip(tensors, axes, strict=True)
            for axis, dim in named.items()
        }
        try:
            with self._traceable():
                return witness(self.setup.flat, tensors, axes, own)
        except ExportError as exc:
            raise ExportError(
                f"not traced, because a run without values did not finish: {exc.message}"
            ) from exc

    def _size_decisions(self) -> list[Place]:
        """Return the places where Python decides by a size that varies."""
        return differing(self._learn(grown=False), self._learn(grown=True))

    def _learn(self, *, grown: bool) -> list[Learned]:
        with self._traceable(), watch_trace() as learned:
            self._jit_trace(self.setup.flat, grown=grown)
        return learned

    def _jit_trace(self, module: torch.nn.Module, *, grown: bool = False) -> torch.nn.Module:
        traced: torch.nn.Module = torch.jit.trace(  # type: ignore[no-untyped-call]
            module, self.setup.tensors(grown=grown), check_trace=False
        )
        return traced

    def script(self, to: Path) -> Probes:
        """Compile the model, so that its branches and loops stay in the graph."""
        model: Any = self.setup.flat.model
        with self.setup.followed(compiled=True):
            if hasattr(model, "to_torchscript"):  # a LightningModule, which knows its own way
                model = model.to_torchscript()
            elif isinstance(model, torch.jit.ScriptModule):
                model = loaded_anew(model)
            else:
                model = torch.jit.script(with_plain_cells(model))
            refuse_lost_writes(model)
            self._raises = raises_errors(model)
            model = with_numbers_kept(model)
            traced = self._jit_trace(self.setup.flat.around(model))
        self._export(traced, to)
        return ()

    def notes(self) -> tuple[str, ...]:
        """Return what users must know about the last script."""
        return (SILENT,) if self._raises else self.setup.notes

    def _export(self, module: torch.nn.Module, to: Path) -> None:
        if self.setup.opset > MAX_OPSET:
            raise ExportError(f"writes opset {MAX_OPSET} at most")
        with self._traceable():
            torch.onnx.export(
                module,
                self.setup.tensors(),
                to,
                dynamo=False,
                opset_version=self.setup.opset,
                input_names=list(self.setup.subject.sample),
                output_names=list(self.setup.outputs),
                dynamic_axes={
                    name: dict(named) for name, named in self.setup.axes.items() if named
                },
            )

    @contextmanager
    def _traceable(self) -> Iterator[None]:
        with (
            self.setup.followed(),
            plainly_packed(self.setup.flat.model),
            forms_known(self.setup.opset),
            boxes_may_lack(),
        ):
            yield
