"""A request by a pack's golden data, and what has to be answered to it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

import msgspec
import numpy as np

from onnxpack.comparison.detections import Sets, compare_all
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import ImageError
from onnxpack.pack.model import Pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.signature import Array


@dataclass(frozen=True, slots=True)
class Exchange:
    """A path and a body for it, and the outputs by their names."""

    path: str
    body: bytes
    expected: dict[str, Array]
    tolerance: Tolerance
    unordered: Sets = ()

    def check(self, answer: bytes, *, name: str) -> None:
        """Refuse an answer that is another.

        Args:
            name: of the image.

        Raises:
            ImageError: it is.
        """
        try:
            outputs = msgspec.json.decode(answer)["outputs"]
            found = {key: np.array(outputs[key], want.dtype) for key, want in self.expected.items()}
        except (msgspec.DecodeError, LookupError, TypeError, ValueError) as exc:
            raise ImageError(f"{name} answers no outputs: {answer[:200]!r}.") from exc
        for each in compare_all(self.expected, found, self.tolerance, unordered=self.unordered):
            if not each.passed:
                raise ImageError(
                    f"{name} answers otherwise than the pack: {each.output} {each.reason}"
                )


def read_exchange(pack: Pack) -> Exchange:
    """Return the exchange by the first golden set."""
    golden = pack.golden[0]
    feeds = dict(read_tensor(path) for path in golden.inputs)
    body = msgspec.json.encode({name: array.tolist() for name, array in feeds.items()})
    path = f"/v2/models/{quote(pack.name, safe='')}/predict"
    expected = dict(read_tensor(path) for path in golden.outputs)
    return Exchange(path, body, expected, pack.tolerance, pack.unordered)
