"""What bounds gRPC, who may ask, and how it starts and ends."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

PROGRAM = Path(sys.executable).with_name("onnxpack")
INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC = ("--grpc-port", 0)
MB = 2**20
CODE = grpc.StatusCode
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def target(served):
    return served.banner.split("gRPC: ")[1].split()[0]


def open_channel(served, *options):
    """A connection of its own."""
    own = ("grpc.use_local_subchannel_pool", 1)
    return grpc.insecure_channel(target(served), options=[own, *options])


def message(model, **arrays):
    """A raw request as bytes."""
    made = pb.ModelInferRequest(model_name=model)
    for name, array in arrays.items():
        made.inputs.add(name=name, datatype="FP32", shape=array.shape)
        made.raw_input_contents.append(array.tobytes())
    return made.SerializeToString()


def first(answer):
    """The first output of an answer in bytes."""
    told = pb.ModelInferResponse.FromString(answer)
    found = np.frombuffer(told.raw_output_contents[0], np.float32)
    return found.reshape(told.outputs[0].shape)


MLP = message("mlp", input=np.ones((1, 64), np.float32))


def counted(served, model, name):
    """A metric, summed over its labels."""
    lines = served.ask("GET", "/metrics")[2].decode().splitlines()
    start = f'onnxpack_{name}{{model="{model}"'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


def wait_for(served, model, name, value):
    while counted(served, model, name) < value:
        pass


def code_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def iter_until_error(stream):
    with contextlib.suppress(grpc.RpcError):
        yield from stream


def test_the_health_service_knows_the_server_and_each_model(packs, serve):
    with serve(packs / "mlp", *GRPC) as served, open_channel(served) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "mlp", "inference.GRPCInferenceService"):
            asked = health_pb2.HealthCheckRequest(service=name)
            assert stub.Check(asked).status == SERVING
        nothing = health_pb2.HealthCheckRequest(service="nothing")
        assert code_of(lambda: stub.Check(nothing)) is CODE.NOT_FOUND
        assert next(stub.Watch(nothing)).status == UNKNOWN
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="mlp"))
        assert next(watch).status == SERVING
        with ThreadPoolExecutor(1) as threads:
            told = threads.submit(lambda: [answer.status for answer in iter_until_error(watch)])
            assert served.stop() == 0
        assert told.result() == [NOT_SERVING]
        assert watch.code() is CODE.UNAVAILABLE
        assert served.process.stderr.read() == ""


HELD = """
import sys, onnxpack
from onnxpack.server.models.repository import Repository
opened = Repository.open
def held(self, packs, settings):
    sys.stdin.readline()
    opened(self, packs, settings)
Repository.open = held
settings = onnxpack.Settings(port=0, grpc_port=int(sys.argv[2]))
onnxpack.serve(sys.argv[1], settings, announce=lambda ready: print(ready.grpc, flush=True))
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_nothing_serves_until_it_is_proven(packs):
    """The server proves from when the test says so."""
    port = free_port()
    command = [sys.executable, "-c", HELD, packs / "mlp", str(port)]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(60)
        stub = health_pb2_grpc.HealthStub(channel)
        for name in ("", "mlp"):
            assert stub.Check(health_pb2.HealthCheckRequest(service=name)).status == NOT_SERVING
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="mlp"))
        assert next(watch).status == NOT_SERVING
        client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("mlp")
        assert code_of(lambda: channel.unary_unary(INFER)(MLP)) is CODE.UNAVAILABLE
        process.stdin.write("\n")
        process.stdin.flush()
        assert next(watch).status == SERVING
        assert process.stdout.readline() == f"127.0.0.1:{port}\n"
        assert client.is_model_ready("mlp")
        assert first(channel.unary_unary(INFER)(MLP)).shape == (1, 10)
        client.close()
        watch.cancel()
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def test_who_cancels_costs_no_other_his_answer(packs, serve, turns):
    """Some cancel while their batch runs, some while they wait in the queue.

    The turns take seconds, so that a machine that stalls still cancels in time; and so much time
    has a machine that others keep busy.
    """
    with serve(packs / "loop", *GRPC, "--timeout", 300) as served, open_channel(served) as channel:
        call = channel.unary_unary(INFER)
        ahead = call.future(message("loop", x=turns(2_000_000)))
        wait_for(served, "loop", "requests_in_flight", 1)
        futures = [call.future(message("loop", x=turns(5_000_000 + i))) for i in range(20)]
        wait_for(served, "loop", "queue_length", 20)
        queued, running = futures[1::4], futures[2::4]
        for future in queued:
            assert future.cancel()
        np.testing.assert_array_equal(first(ahead.result(300)), turns(2_000_000))
        while counted(served, "loop", "queue_length"):
            pass
        for future in running:
            assert future.cancel()
        for number, future in enumerate(futures):
            if future not in queued + running:
                np.testing.assert_array_equal(first(future.result(300)), turns(5_000_000 + number))
        assert counted(served, "loop", "batch_rows_sum") == 16
        assert counted(served, "loop", "requests_total") == 11
        assert counted(served, "loop", "requests_in_flight") == 0
        assert b'status="499",version="1"} 10.0' in served.ask("GET", "/metrics")[2]


def test_deadlines_and_a_full_queue(packs, serve, turns):
    options = ("--timeout", 0.3, "--max-batch", 1, "--max-queue", 1)
    with serve(packs / "loop", *GRPC, *options) as served, open_channel(served) as channel:
        call = channel.unary_unary(INFER)
        short = message("loop", x=turns(1))
        running = call.future(message("loop", x=turns(2_000_000)))
        wait_for(served, "loop", "requests_in_flight", 1)
        assert code_of(lambda: call(short, timeout=0.1)) is CODE.DEADLINE_EXCEEDED
        wait_for(served, "loop", "request_failures_total", 1)
        waiting = call.future(short)
        wait_for(served, "loop", "queue_length", 1)
        with pytest.raises(grpc.RpcError) as caught:
            call(short)
        assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "1000"
        for future in (running, waiting):
            assert future.code() is CODE.DEADLINE_EXCEEDED
            assert future.details() == "no answer within 0.3 s"


def test_what_is_too_large_is_refused(packs, serve):
    with (
        serve(packs / "mlp", *GRPC, "--max-body", "1MB") as served,
        open_channel(served) as channel,
    ):
        before = served.memory()
        call = channel.unary_unary(INFER)
        many = message("mlp", input=np.zeros((4000, 64), np.float32))
        assert code_of(lambda: call(many)) is CODE.RESOURCE_EXHAUSTED
        # 200 MB in 200 kB: it must not be unpacked.
        bomb = bytes(200 * MB)
        for kind in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            code = code_of(lambda kind=kind: call(bomb, compression=kind))
            assert code is CODE.UNIMPLEMENTED
        live = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        # An unknown field of 64 KiB, with three bytes that say so.
        assert code_of(lambda: live(b"\x12\x80\x80\x04" + bytes(2**16))) is CODE.OUT_OF_RANGE
        assert served.memory() - before < 30 * MB
        assert first(call(MLP)).shape == (1, 10)


def test_all_that_is_held_is_bounded(packs, serve):
    """An answer is held until its client takes it, or for as long as a client may take."""
    numbers = np.zeros((1, MB), np.float32)
    large = message("two", a=numbers, b=numbers)
    options = ("--max-body", "10MB", "--max-held", "20MB", "--read-timeout", 1)
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.max_receive_message_length", -1)]
    with serve(packs / "two", *GRPC, *options) as served, open_channel(served, *narrow) as lazy:
        lazily = lazy.stream_stream(INFER)(iter([large]))
        wait_for(served, "two", "requests_total", 1)
        with open_channel(served, *narrow) as channel:
            call = channel.unary_unary(INFER)
            codes = [call.future(large).code()]
            while codes[-1] is not CODE.OK:
                codes.append(call.future(large).code())
            assert set(codes) == {CODE.UNAVAILABLE, CODE.OK}
        lazily.cancel()


def test_silent_clients_are_given_up_and_cost_no_other(packs, serve):
    """Two messages may be read at a time, and two clients send none."""
    options = ("--max-body", "1MB", "--max-held", "2MB", "--read-timeout", 1)
    with serve(packs / "mlp", *GRPC, *options) as served, open_channel(served) as channel:
        for_ever = threading.Event()

        def silent():
            for_ever.wait()
            yield MLP

        silence = [channel.stream_stream(INFER)(silent()) for _ in range(2)]
        assert first(channel.unary_unary(INFER)(MLP)).shape == (1, 10)
        for each in silence:
            assert code_of(lambda each=each: next(each)) is CODE.DEADLINE_EXCEEDED
            assert each.details() == "the message did not arrive in time"
        for_ever.set()


def test_in_flight_is_finished_and_idle_streams_hold_nothing(packs, serve, turns):
    with serve(packs / "loop", *GRPC) as served, open_channel(served) as channel:
        for_ever = threading.Event()

        def asked():
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            for_ever.wait()

        idle = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked())
        assert next(idle).HasField("list_services_response")
        call = channel.unary_unary(INFER)
        futures = [call.future(message("loop", x=turns(900_000 + i))) for i in range(3)]
        wait_for(served, "loop", "requests_in_flight", 3)
        assert served.stop() == 0
        for number, future in enumerate(futures):
            np.testing.assert_array_equal(first(future.result(60)), turns(900_000 + number))
        assert code_of(lambda: next(idle)) is CODE.UNAVAILABLE
        assert code_of(lambda: call(MLP)) is CODE.UNAVAILABLE
        assert served.process.stderr.read() == ""
        for_ever.set()


def test_a_drain_that_takes_too_long_is_cut(packs, serve, turns):
    options = ("--drain", 0.5, "--max-batch", 1)
    with serve(packs / "loop", *GRPC, *options) as served, open_channel(served) as channel:
        call = channel.unary_unary(INFER)
        futures = [call.future(message("loop", x=turns(1_500_000))) for _ in range(4)]
        wait_for(served, "loop", "requests_in_flight", 4)
        assert served.stop() == 0
        assert {future.code() for future in futures} == {CODE.UNAVAILABLE}
        assert served.process.stderr.read() == ""
