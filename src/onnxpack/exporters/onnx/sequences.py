"""Operators over sequences for ONNX's evaluator, where its own (onnx 1.23) ignore an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_gru, op_lstm, op_rnn

from onnxpack.signature import Array

FIRST_SCAN = 9
"""The opset from which on Scan has no batch axis of its own."""


class Scan(OpRun):
    """The operator Scan; the evaluator's own only reads forwards, along first axes."""

    body: Any
    _run_body: Any
    opset: int

    def need_context(self) -> bool:
        """Return True: the body may read values of the graph around it."""
        return True

    def _run(
        self,
        *given: Any,
        num_scan_inputs: int,
        context: Mapping[str, Any] | None = None,
        scan_input_axes: Sequence[int] | None = None,
        scan_input_directions: Sequence[int] | None = None,
        scan_output_axes: Sequence[int] | None = None,
        scan_output_directions: Sequence[int] | None = None,
        body: Any = None,
        attributes: Any = None,
        bindings: Any = None,
    ) -> Any:
        """Return the states after the last step, then the stacked outputs of all steps."""
        if self.opset < FIRST_SCAN:
            raise ValueError(f"Scan of opset {self.opset}")
        count = len(given) - num_scan_inputs
        states, read = list(given[:count]), given[count:]
        axes, backwards = _each(scan_input_axes, read), _each(scan_input_directions, read)
        parts = [
            _turned(np.moveaxis(array, axis, 0), back)
            for array, axis, back in zip(read, axes, backwards, strict=True)
        ]
        steps: list[list[Any]] = []
        for values in zip(*parts, strict=True):
            names = self.body.input_names
            inputs = dict(context or {}) | dict(zip(names, (*states, *values), strict=True))
            outputs = self._run_body(inputs, attributes=attributes, bindings=bindings)
            states = outputs[:count]
            steps.append(outputs[count:])
        if not steps and len(self.body.output_names) > count:
            raise ValueError("the Scan had no step, so the shape of its outputs is unknown")
        stacked = [np.stack(values) for values in zip(*steps, strict=True)]
        axes, backwards = _each(scan_output_axes, stacked), _each(scan_output_directions, stacked)
        written = [
            np.moveaxis(_turned(array, back), 0, axis)
            for array, axis, back in zip(stacked, axes, backwards, strict=True)
        ]
        return self._check_and_fix_outputs((*states, *written))


def _each(values: Sequence[int] | None, arrays: Sequence[Array]) -> Sequence[int]:
    """Return the values of an attribute, which are 0 if it is absent."""
    return [0] * len(arrays) if values is None else values


def _turned(array: Array, back: int) -> Array:
    return array[::-1] if back else array


class _OfLengths(OpRun):
    """A recurrent operator of sequences of different lengths: each sequence is run by itself.

    By the specification, what is beyond the end of a sequence is 0, and the last state is the one
    at its end. It leaves open what the last state of an empty sequence is: ONNX Runtime's is 0. The
    evaluator's own operators ignore the lengths.
    """

    def _run(self, *inputs: Any, **attributes: Any) -> Any:
        own: Any = super()._run  # type: ignore[safe-super]  # the next class has its own
        x, weight, recurrent, bias, lengths, *states = (*inputs, None, None)[: max(5, len(inputs))]

        def run(part: Array, begin: Sequence[Array | None]) -> Any:
            return own(part, weight, recurrent, bias, None, *begin, **attributes)

        if lengths is None:
            return run(x, states)
        if attributes.get("layout") or (lengths < 0).any() or (lengths > len(x)).any():
            raise ValueError(f"{type(self).__name__} of the lengths {lengths.tolist()}")
        answers = []
        for row, length in enumerate(lengths):
            each = slice(row, row + 1)
            # The peepholes of an LSTM have two axes: they are weights, not a state of each row.
            begin = [s[:, each] if s is not None and s.ndim > 2 else s for s in states]
            every, *last = run(x[: max(length, 1), each], begin)
            if not length:
                every, last = every[:0], [np.zeros_like(state) for state in last]
            beyond = np.zeros((len(x) - length, *every.shape[1:]), every.dtype)
            answers.append((np.concatenate([every, beyond]), *last))
        whole, *ends = zip(*answers, strict=True)
        return np.concatenate(whole, axis=2), *(np.concatenate(end, axis=1) for end in ends)


class LSTM(_OfLengths, op_lstm.LSTM):
    """The operator LSTM, also with the lengths of its sequences."""


class GRU(_OfLengths, op_gru.GRU):
    """The operator GRU, also with the lengths of its sequences."""


class RNN(_OfLengths, op_rnn.RNN_14):
    """The operator RNN, also with the lengths of its sequences."""
