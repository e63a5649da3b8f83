"""A request made from a pack's golden data, and the expected answer."""

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
class GoldenRequest:
    """A request's path and body, and the expected outputs by name."""

    path: str
    body: bytes
    expected: dict[str, Array]
    tolerance: Tolerance
    unordered: Sets = ()

    def check(self, answer: bytes, *, name: str) -> None:
        """Check that an answer agrees with the expected outputs.

        Args:
            answer: body of the response.
            name: name of the image.

        Raises:
            ImageError: the answer differs.
        """
        try:
            outputs = msgspec.json.decode(answer)["outputs"]
            found = {key: np.array(outputs[key], want.dtype) for key, want in self.expected.items()}
        except (msgspec.DecodeError, LookupError, TypeError, ValueError) as exc:
            raise ImageError(f"{name} returned no outputs: {answer[:200]!r}.") from exc
        for each in compare_all(self.expected, found, self.tolerance, unordered=self.unordered):
            if not each.passed:
                raise ImageError(
                    f"{name} answers differently from the pack: {each.output} {each.reason}"
                )


def golden_request(pack: Pack) -> GoldenRequest:
    """Return the request made from the first golden set."""
    golden = pack.golden[0]
    feeds = dict(read_tensor(path) for path in golden.inputs)
    body = msgspec.json.encode({name: array.tolist() for name, array in feeds.items()})
    path = f"/v2/models/{quote(pack.name, safe='')}/predict"
    expected = dict(read_tensor(path) for path in golden.outputs)
    return GoldenRequest(path, body, expected, pack.tolerance, pack.unordered)
