"""What is counted of a request: its time from body to answer, and its end where it was cut."""

import asyncio
import json
import subprocess
import sys

import pytest

from onnxpack.pack.read import open_pack
from onnxpack.server.http import app, exchange
from onnxpack.server.models import served
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def passing(self, seconds, function):
        """A function that takes so long."""

        def call(*given, **named):
            self.now += seconds
            return function(*given, **named)

        return call


@pytest.fixture
def clock(monkeypatch):
    """The clock of all that serves."""
    clock = Clock()
    for module in (app, exchange, served):
        monkeypatch.setattr(module, "perf_counter", clock)
    return clock


def opened(pack):
    repository = Repository()
    repository.open([open_pack(pack)], Settings())
    repository.ready = True
    return repository


class Asked:
    """A request to the application, without a connection; its parts come after a second each."""

    def __init__(self, path, *parts, clock=None):
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [],
        }
        self.parts = list(parts)
        self.clock = clock
        self.sent = []

    async def receive(self):
        if not self.parts:
            return await asyncio.get_running_loop().create_future()
        if self.clock:
            self.clock.now += 1
        part = self.parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(self.parts)}

    async def send(self, message):
        if self.clock:
            self.clock.now += 1
        self.sent.append(message)

    async def by(self, application):
        await application(self.scope, self.receive, self.send)
        return self.sent[0]["status"]


INPUT = {"name": "input", "shape": [1, 64], "datatype": "FP32", "data": [0] * 64}
BODY = json.dumps({"inputs": [INPUT]}).encode()


@pytest.mark.parametrize("parts", [[BODY], [BODY[:9], BODY[9:]]])
@pytest.mark.parametrize("inline", [True, False])
def test_infer_is_timed_from_the_bodys_end_to_the_answer(monkeypatch, packs, clock, parts, inline):
    repository = opened(packs / "mlp")
    model = repository.get("mlp")
    model.at_once = lambda feeds: inline
    monkeypatch.setattr(app, "parse_request", clock.passing(10, app.parse_request))
    monkeypatch.setattr(app, "write_response", clock.passing(100, app.write_response))
    asked = Asked("/v2/models/mlp/infer", *parts, clock=clock)
    assert asyncio.run(asked.by(app.App(repository, Settings()))) == 200
    assert (model.stats.succeeded, model.stats.request_seconds.sum) == (1, 110)
    repository.close()


def test_predict_is_timed_from_the_bodys_end_to_the_answer(monkeypatch, packs, clock):
    repository = opened(packs / "mlp")
    monkeypatch.setattr(app, "read_feeds", clock.passing(10, app.read_feeds))
    monkeypatch.setattr(app, "write_json", clock.passing(100, app.write_json))
    asked = Asked("/v2/models/mlp/predict", json.dumps([[0] * 64]).encode(), clock=clock)
    assert asyncio.run(asked.by(app.App(repository, Settings()))) == 200
    assert repository.get("mlp").stats.request_seconds.sum == 110
    repository.close()


# In a process of its own: its messages have the names of those of Triton's client.
GRPC = """
import asyncio, sys
import grpc
from onnxpack.pack.read import open_pack
from onnxpack.server.grpc import call, server
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings

now = 1000.0

def passing(seconds, function):
    def call(*given):
        global now
        now += seconds
        return function(*given)
    return call

call.perf_counter = server.perf_counter = lambda: now
server.read_request = passing(10, server.read_request)
server.write_response = passing(100, server.write_response)
request = server.pb.ModelInferRequest(model_name="mlp")
request.inputs.add(name="input", datatype="FP32", shape=[1, 64])
request.raw_input_contents.append(bytes(256))
repository = Repository()
repository.open([open_pack(sys.argv[1])], Settings())
repository.ready = True

async def ask():
    async with (
        server.grpc_server(repository, Settings(grpc_port=0)) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        await infer(request.SerializeToString())

asyncio.run(ask())
stats = repository.get("mlp").stats
print(stats.succeeded, stats.request_seconds.sum)
repository.close()
"""


def test_grpc_is_timed_from_the_message_to_the_answer(packs):
    done = subprocess.run(
        [sys.executable, "-c", GRPC, packs / "mlp"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 110.0\n"


def test_an_answer_that_is_not_held_is_a_failure_alone(packs):
    """Nothing was sent, so nothing was answered."""
    repository = opened(packs / "two")
    rows = [[0] * 20_000]
    asked = Asked("/v2/models/two/predict", json.dumps({"a": rows, "b": rows}).encode())
    assert asyncio.run(asked.by(app.App(repository, Settings(max_held=150_000)))) == 503
    stats = repository.get("two").stats
    assert (stats.succeeded, stats.failed, stats.in_flight) == (0, {503: 1}, 0)
    repository.close()


def test_a_request_that_is_cut_is_a_failure(packs, turns):
    """The end of the drain cancels what is in flight, and tells its clients 503."""
    repository = opened(packs / "loop")
    stats = repository.get("loop").stats
    asked = Asked("/v2/models/loop/predict", json.dumps(turns(300_000).tolist()).encode())

    async def cut():
        answering = asyncio.ensure_future(asked.by(app.App(repository, Settings())))
        while not stats.in_flight:
            await asyncio.sleep(0)
        answering.cancel()
        return await answering

    assert asyncio.run(cut()) == 503
    assert (stats.succeeded, stats.failed, stats.in_flight) == (0, {503: 1}, 0)
    repository.close()
