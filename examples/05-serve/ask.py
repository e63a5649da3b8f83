"""Ask the server from sixteen threads, and hold every answer against the pack's own.

python ask.py 127.0.0.1:8477
"""

from __future__ import annotations

import io
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import numpy as np

import onnxpack
from onnxpack.runtime.picture import read_picture

REQUESTS, THREADS = 64, 16


def ask(address: str, picture: np.ndarray) -> np.ndarray:
    """The scores of one picture, which is sent as a ``.npy``."""
    file = io.BytesIO()
    np.save(file, picture)
    connection = HTTPConnection(address)
    headers = {"Content-Type": "application/x-npy"}
    connection.request("POST", "/v2/models/lite0/predict", file.getvalue(), headers)
    answer = json.load(connection.getresponse())
    connection.close()
    return np.array(answer["outputs"]["output"], np.float32)


def counted(address: str, name: str) -> int:
    """A counter of the server's metrics."""
    connection = HTTPConnection(address)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    connection.close()
    return int(float(re.search(rf"^{name}{{.*}} (\S+)$", metrics, re.MULTILINE)[1]))


def main(address: str) -> None:
    """Ask, compare, and tell how many runs it took."""
    model = onnxpack.Model("lite0")
    cat = read_picture("chelsea.png", model.signature.inputs[0], model.preprocess)
    pictures = [np.roll(cat, 3 * shift, axis=3) for shift in range(REQUESTS)]
    before = counted(address, "onnxpack_batch_rows_count")
    with ThreadPoolExecutor(THREADS) as threads:
        answers = [*threads.map(lambda picture: ask(address, picture), pictures)]
    same = sum(
        np.allclose(answer, model(picture), rtol=1e-3, atol=1e-3)
        for answer, picture in zip(answers, pictures, strict=True)
    )
    runs = counted(address, "onnxpack_batch_rows_count") - before
    print(f"{same} of {REQUESTS} answers are the pack's own; the model ran {runs} times")


if __name__ == "__main__":
    main(sys.argv[1])
