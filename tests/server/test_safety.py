"""Keys, TLS, and answers that give nothing away."""

import hmac
import http.client
import json
import logging
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from onnxpack.server.http.app import App
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys"
    path.write_text("one\n\n  två \n")
    path.chmod(0o600)
    return path


@pytest.fixture
def certificate(tmp_path):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_a_key_is_needed_where_one_is_set(packs, serve, keys):
    with serve(packs / "mlp", "--api-key-file", keys) as served:
        assert "'Authorization: Bearer KEY'" in served.banner
        for path in ("/v2/health/ready", "/v2/health/live", "/", "/docs"):
            assert served.ask("GET", path)[0] == 200
        for path in ("/v2", "/v2/models", "/v2/models/mlp", "/metrics", "/openapi.json", "/x"):
            status, headers, told = served.ask("GET", path)
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert set(json.loads(told)) == {"error"}
        for given in (
            {"Authorization": "Bearer three"},
            {"Authorization": "Bearer on"},
            {"Authorization": "Bearer "},
            {"Authorization": "Basic one"},
            {"X-Api-Key": ""},
            {"X-Api-Key": "one "[:2]},
        ):
            assert served.ask("POST", "/v2/models/mlp/infer", b"{}", **given)[0] == 401
        for given in (
            {"Authorization": "Bearer one"},
            {"Authorization": "bearer  one"},
            {"X-Api-Key": "one"},
            {"X-Api-Key": "två".encode()},
        ):
            assert served.ask("GET", "/v2/models/mlp", **given)[0] == 200


def test_keys_are_compared_in_constant_time(monkeypatch):
    """Every key, whichever matched, and by the comparison that is made for it."""
    compared = []

    def compare(given, key):
        compared.append((given, key))
        return given == key

    monkeypatch.setattr(hmac, "compare_digest", compare)
    sent = []

    async def send(message):
        sent.append(message)

    app = App(Repository(), Settings(api_keys=("one", "two", "three")))
    headers = [(b"authorization", b"Bearer one")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v2",
        "query_string": b"",
        "headers": headers,
    }
    with pytest.raises(StopIteration):
        app(scope, None, send).send(None)
    assert sent[0]["status"] == 200
    assert compared == [(b"one", b"one"), (b"one", b"two"), (b"one", b"three")]


def test_tls(packs, serve, certificate):
    cert, key = certificate
    with serve(packs / "mlp", "--tls-cert", cert, "--tls-key", key) as served:
        assert f"https://127.0.0.1:{served.port}" in served.banner
        assert "curl -sk" in served.banner
        trusted = ssl.create_default_context(cafile=str(cert))
        connection = http.client.HTTPSConnection(served.host, served.port, context=trusted)
        connection.request("POST", "/v2/models/mlp/predict", json.dumps(np.ones((2, 64)).tolist()))
        answer = connection.getresponse()
        assert answer.status == 200
        assert np.shape(json.load(answer)["outputs"]["output"]) == (2, 10)
        connection.close()
        with served.connect() as plain:
            plain.sendall(b"GET /v2 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            with suppress(ConnectionError):
                assert b"HTTP/1.1 200" not in plain.recv(65536)
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tls-key", "KEY"], "a TLS key was given without a certificate"),
        (["--tls-cert", "CERT"], "CERT cannot be used with a key inside"),
        (["--tls-cert", "KEY", "--tls-key", "CERT"], "cannot be used with"),
        (["--tls-cert", "absent", "--tls-key", "KEY"], "No such file"),
    ],
)
def test_a_certificate_that_cannot_be_used(packs, certificate, onnxpack_serve, options, says):
    names = dict(zip(("CERT", "KEY"), map(str, certificate), strict=True))
    done = onnxpack_serve(packs / "mlp", *(names.get(option, option) for option in options))
    assert done.returncode == 2
    assert says.replace("CERT", names["CERT"]) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["/", "/docs", "/page/../app.py", "/page/%2e%2e/app.py", "/etc"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "TRACE"])
def test_no_answer_names_a_path_or_shows_a_traceback(server, method, path):
    status, headers, told = server.ask(method, path)
    assert status in (200, 404, 405)
    for secret in (ROOT, "site-packages", "Traceback", "/tmp/", "uvicorn"):
        assert secret not in f"{headers}{told.decode()}"
    if status == 405:
        assert headers["allow"] == "GET, HEAD"


class Broken:
    """A repository that has a bug."""

    ready, draining = True, False

    def __iter__(self):
        raise ZeroDivisionError(ROOT)


def test_a_bug_is_logged_and_not_shown(caplog):
    sent = []

    async def send(message):
        sent.append(message)

    app = App(Broken(), Settings())
    scope = {"type": "http", "method": "GET", "path": "/v2/models", "query_string": b""}
    with caplog.at_level(logging.ERROR), pytest.raises(StopIteration):
        app({**scope, "headers": []}, None, send).send(None)
    assert sent[0]["status"] == 500
    assert sent[1]["body"] == b'{"error":"internal error"}'
    assert "ZeroDivisionError" in caplog.text
