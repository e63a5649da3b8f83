"""Spans: within the client's trace, and missed where they cannot be sent."""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tritonclient.grpc import service_pb2 as pb

INFER = "/inference.GRPCInferenceService/ModelInfer"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
ROW = json.dumps(np.zeros((1, 64)).tolist()).encode()


@contextmanager
def collector():
    """The address of an OTLP collector, and the spans that it was sent."""
    spans = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                for scope in resource.scope_spans:
                    spans.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *told):
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}", spans
        finally:
            listening.shutdown()
            thread.join()


def ask_by_grpc(served, metadata):
    request = pb.ModelInferRequest(model_name="mlp")
    request.inputs.add(name="input", datatype="FP32", shape=[1, 64])
    request.raw_input_contents.append(bytes(256))
    with grpc.insecure_channel(served.banner.split("gRPC: ")[1].split()[0]) as channel:
        channel.unary_unary(INFER)(request.SerializeToString(), metadata=tuple(metadata.items()))


def where(span):
    return span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state


def test_a_span_is_a_child_of_the_clients(packs, serve):
    with collector() as (endpoint, spans):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with serve(packs / "mlp", "--grpc-port", 0, environment=environment) as served:
            for headers in (HEADERS, {}, {"traceparent": "00-nonsense"}):
                assert served.ask("POST", "/v2/models/mlp/predict", ROW, **headers)[0] == 200
                ask_by_grpc(served, headers)
            assert served.stop() == 0
    children, others = spans[:2], spans[2:]
    assert [where(span) for span in children] == [(TRACE, PARENT, "vendor=1")] * 2
    assert len({span.trace_id for span in others}) == 4
    assert {where(span)[1:] for span in others} == {("", "")}
    assert TRACE not in {span.trace_id.hex() for span in others}


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk"])
@pytest.mark.parametrize(
    "variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
)
def test_an_endpoint_without_the_extra_is_warned_of(packs, serve, tmp_path, missing, variable):
    # A module of this name that cannot be found, as if it were not installed.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {missing!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {variable: "http://127.0.0.1:9", "PYTHONPATH": path}
    with serve(packs / "mlp", environment=environment) as served:
        assert served.ask("POST", "/v2/models/mlp/predict", ROW, **HEADERS)[0] == 200
        assert served.stop() == 0
        told = served.process.stderr.read()
    wanted = f'warning: {variable} is set, but no spans are sent: pip install "onnxpack[otel]"\n'
    assert told == wanted
