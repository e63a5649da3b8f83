"""The server does what its OpenAPI document says, asked by schemathesis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@pytest.fixture(scope="module")
def document(server):
    return server.json("GET", "/openapi.json")[1]


def test_every_model_and_way_is_described(document, server):
    assert document["openapi"] == "3.1.0"
    for path in document["paths"]:
        if "{" not in path:
            assert server.ask("GET", path)[0] == 200
    (name,) = (
        parameter
        for parameter in document["paths"]["/v2/models/{model}"]["parameters"]
        if parameter["name"] == "model"
    )
    _, told = server.json("GET", "/v2/models")
    assert name["schema"]["enum"] == sorted(each["name"] for each in told["models"])


def test_not_ready_is_no_error(document):
    for path in ("/v2/health/ready", "/v2/models/{model}/ready"):
        answers = document["paths"][path]["get"]["responses"]
        assert answers["503"] == answers["200"]


def test_schemathesis_finds_no_fault(packs, serve, tmp_path):
    with serve(packs / "mlp", packs / "words", packs / "bag") as served:
        command = [SCHEMATHESIS, "run", f"http://{served.host}:{served.port}/openapi.json"]
        command += ["--seed", "1", "--max-examples", "50", "--generation-database", "none"]
        # No schema can say how the length of data follows from shape.
        command += ["--exclude-checks", "positive_data_acceptance"]
        command += ["--checks", "all", "--phases", "examples,coverage,fuzzing", "--no-color"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={**os.environ, "PYTHONWARNINGS": ""},
        )
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        assert served.stop() == 0
        assert served.process.stderr.read() == ""
