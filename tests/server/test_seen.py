"""What can be seen of a server: metrics, the access log, request ids, spans."""

import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

X = np.ones((3, 64), np.float32)


def samples(served):
    """Every metric of the MLP, histograms without their buckets, failures by status."""
    _, headers, text = served.ask("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain")
    found = Counter()
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            if sample.labels.get("model") == "mlp" and "le" not in sample.labels:
                found[sample.name + sample.labels.get("status", "")] += sample.value
    return found


def test_metrics_count_what_happened(packs, serve, infer):
    with serve(packs / "mlp", packs / "two", "--triton-metrics", "--max-batch", 16) as served:
        for _ in range(3):
            infer(served, "mlp", input=X)
        served.ask("POST", "/v2/models/mlp/infer", b"{")
        served.json("POST", "/v2/models/mlp/predict", [[1, 2]])
        served.json("POST", "/v2/models/mlp/predict", np.ones((17, 64)).tolist())
        found = samples(served)
    expected = {
        "onnxpack_requests_total": 3,
        "onnxpack_rows_total": 9,
        "onnxpack_request_failures_total400": 2,
        "onnxpack_request_failures_total413": 1,
        "onnxpack_request_duration_seconds_count": 3,
        "onnxpack_compute_duration_seconds_count": 3,
        "onnxpack_batch_rows_count": 3,
        "onnxpack_batch_rows_sum": 9,
        "onnxpack_requests_in_flight": 0,
        "onnxpack_queue_length": 0,
        "onnxpack_model_info": 1,
        "nv_inference_request_success": 3,
        "nv_inference_request_failure": 3,
        "nv_inference_count": 9,
        "nv_inference_exec_count": 3,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["nv_inference_compute_infer_duration_us"] > 0


def test_tritons_names_are_there_only_when_asked_for(server):
    assert b"nv_inference" not in server.ask("GET", "/metrics")[2]


def test_the_access_log_has_a_line_of_json_for_each_request(packs, serve):
    with serve(packs / "mlp", "--access-log") as served:
        served.ask("GET", "/v2", X_Request_Id='a"b')
        served.ask("POST", "/v2/models/mlp/infer", b"{")
        served.ask("GET", "/v2/models/%0a%22?x=secret")
        served.stop()
        lines = [json.loads(line) for line in served.process.stderr.read().splitlines()]
    told = [(line["method"], line["path"], line["status"], line["request_id"]) for line in lines]
    assert told == [
        ("GET", "/v2", 200, 'a"b'),
        ("POST", "/v2/models/mlp/infer", 400, None),
        ("GET", '/v2/models/\n"', 404, None),
    ]
    assert all(line["seconds"] >= 0 and line["time"] > 0 for line in lines)


def test_nothing_is_logged_by_default(packs, serve):
    with serve(packs / "mlp") as served:
        served.ask("GET", "/v2")
        served.ask("POST", "/v2/models/mlp/infer", b"{")
        with served.connect() as connection:
            connection.sendall(b"garbage\r\n\r\n")
        served.stop()
        assert served.process.stderr.read() == ""


def test_a_long_request_id_is_cut_and_a_hostile_one_refused(server):
    _, headers, _ = server.ask("GET", "/v2", X_Request_Id="a" * 1000)
    assert headers["x-request-id"] == "a" * 128
    with server.connect() as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\nx-request-id: a\x01b\r\n\r\n")
        assert b"\x01" not in connection.recv(65536)


SPANS = """
import asyncio, json, sys
import numpy as np
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from onnxpack.errors import FeedError
from onnxpack.pack.read import open_pack
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
repository = Repository()
repository.open([open_pack(sys.argv[1])], Settings())
repository.ready = True
model = repository.get("mlp")
asyncio.run(model.infer({"input": np.ones((3, 64), np.float32)}))
try:
    asyncio.run(model.infer({"input": np.ones((3, 5), np.float32)}))
except FeedError:
    pass
repository.close()
print(json.dumps([
    [span.name, dict(span.attributes), span.status.status_code.name]
    for span in kept.get_finished_spans()
]))
"""


def test_a_configured_tracer_gets_a_span_for_each_request(packs):
    done = subprocess.run(
        [sys.executable, "-c", SPANS, packs / "mlp"], capture_output=True, text=True, check=True
    )
    attributes = {
        "onnxpack.model": "mlp",
        "onnxpack.version": "1",
        "onnxpack.provider": "cpu",
        "onnxpack.rows": 3,
    }
    assert json.loads(done.stdout) == [
        ["infer mlp", attributes, "UNSET"],
        ["infer mlp", attributes, "ERROR"],
    ]


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9"])
def test_tracing_is_loaded_only_where_an_endpoint_is_set(packs, endpoint):
    code = (
        "import sys\n"
        "from onnxpack.pack.read import open_pack\n"
        "from onnxpack.server.models.repository import Repository\n"
        "from onnxpack.server.settings import Settings\n"
        "repository = Repository()\n"
        "repository.open([open_pack(sys.argv[1])], Settings())\n"
        "repository.close()\n"
        "print('opentelemetry.sdk.trace' in sys.modules, *(type(m).__name__ for m in repository))"
    )
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, "-c", code, packs / "mlp"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.split() == (["True", "Traced"] if endpoint else ["False", "Served"])
