"""BentoML, a raw tensor in and out, without its batching (which is slower here)."""

import os

import bentoml
import numpy as np
import onnxruntime

SHAPE = [int(size) for size in os.environ["SHAPE"].split("x")]


@bentoml.service(workers=1, traffic={"timeout": 60})
class Service:
    def __init__(self):
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL"], providers=["CPUExecutionProvider"]
        )
        self.name = self.session.get_inputs()[0].name

    @bentoml.api(route="/infer")
    def infer(self, body: bytes, /) -> bytes:
        x = np.frombuffer(body, dtype=np.float32).reshape(SHAPE)
        return self.session.run(None, {self.name: x})[0].tobytes()
