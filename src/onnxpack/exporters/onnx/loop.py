"""The operator Loop for ONNX's evaluator, by the operator's specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx.reference.ops import op_loop


class Loop(op_loop.Loop):
    """The operator Loop, corrected where the evaluator's own (onnx 1.23) is wrong.

    The evaluator treats an absent condition as false, where the specification says true, and so
    never enters the loop. It concatenates the outputs of the iterations along their first axis; by
    the specification the iterations are a new first axis.
    """

    op_domain = ""
    body: Any
    _run_body: Any

    def _run(
        self,
        trips: Any = None,
        condition: Any = None,
        *carried: Any,
        context: Mapping[str, Any] | None = None,
        body: Any = None,
        attributes: Any = None,
        bindings: Any = None,
    ) -> Any:
        """Return the values carried out of the last iteration, then the stacked outputs."""
        state, given = list(carried), list[Any]()
        goes_on, turn = condition is None or bool(condition), 0
        while goes_on and (trips is None or turn < trips):
            values = (np.array(turn, np.int64), np.array(True), *state)
            inputs = dict(context or {}) | dict(zip(self.body.input_names, values, strict=True))
            further, *outputs = self._run_body(inputs, attributes=attributes, bindings=bindings)
            goes_on, turn = bool(further), turn + 1
            state = outputs[: self.N]
            given.append(outputs[self.N :])
        if self.K and not given:
            raise ValueError(
                "the Loop ran no iteration, so the shape of what an iteration gives is unknown"
            )
        turns = [np.stack(values) for values in zip(*given, strict=True)]
        return self._check_and_fix_outputs((*state, *turns))
