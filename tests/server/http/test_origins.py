"""Web pages use a server only if it is their own, or their origin is named."""

import http.client
import json

import numpy as np
import pytest

from onnxpack.errors import UsageError
from onnxpack.server.errors import RequestError
from onnxpack.server.http.exchange import Exchange
from onnxpack.server.http.origins import Origins
from onnxpack.server.limits import Budget

ROWS = np.ones((1, 64)).tolist()
PREDICT = "/v2/models/mlp/predict"


def asked(method="GET", **headers):
    scope = {
        "method": method,
        "path": "/v2",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    return Exchange(scope, None, None, Budget(0))


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000", "a.localhost", "",
     "192.168.1.2:80", "models.example", "models.example:8000"],
)  # fmt: skip
def test_names_that_no_stranger_resolves_are_served_on_loopback(host):
    Origins("127.0.0.1", ["https://models.example"]).check(asked(host=host))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "x",
     "evil.example:80@localhost", "localhost:x", "[::1", "//localhost", "localhost/", "é.example"],
)  # fmt: skip
def test_a_name_that_was_rebound_is_refused_on_loopback(host):
    with pytest.raises(RequestError, match="the host is ") as refused:
        Origins("::1", []).check(asked(host=host))
    assert refused.value.status == 403
    Origins("0.0.0.0", []).check(asked(host=host))


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://LOCALHOST", "localhost", True),
        ("https://models.example", "localhost", True),
        ("https://evil.example", "localhost", False),
        ("http://models.example", "localhost", False),
        ("http://localhost:9000", "localhost:8000", False),
        ("null", "localhost", False),
    ],
)
def test_only_pages_of_its_own_and_of_named_origins_write(origin, host, allowed):
    origins = Origins("127.0.0.1", ["https://Models.example"])
    for method in ("GET", "HEAD", "OPTIONS"):
        origins.check(asked(method, host=host, origin=origin))
    for method in ("POST", "PUT", "DELETE", "ANYTHING"):
        write = asked(method, host=host, origin=origin)
        if allowed:
            origins.check(write)
            continue
        with pytest.raises(RequestError, match=f"a page of {origin} may not use") as refused:
            origins.check(write)
        assert refused.value.status == 403


def test_every_origin_can_be_allowed():
    origins = Origins("0.0.0.0", ["*"])
    exchange = asked("POST", host="a.example", origin="https://b.example")
    origins.check(exchange)
    assert (b"access-control-allow-origin", b"https://b.example") in origins.headers(exchange)


@pytest.mark.parametrize(
    "origin",
    ["models.example", "https://", "https://a.example/", "https://a.example/x", "ftp://a.example",
     "https://me@a.example", "https://[", "null", ""],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_the_start(packs, onnxpack_serve, origin):
    with pytest.raises(UsageError, match="is not an origin"):
        Origins("127.0.0.1", [origin])
    if origin == "models.example":
        done = onnxpack_serve(packs / "mlp", "--cors-origin", origin)
        assert (done.returncode, done.stdout) == (2, "")
        assert "'models.example' is not an origin" in done.stderr


def test_a_page_of_another_origin_gets_nothing_done(server):
    """Each kind of request that a browser sends without asking first."""
    body = json.dumps({"inputs": []}).encode()
    for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        named = {"Content_Type": media} if media else {}
        for path in ("/v2/models/mlp/infer", PREDICT):
            foreign = {"Origin": "https://evil.example", **named}
            assert server.ask("POST", path, body, **foreign)[0] == 403
            if media:
                assert server.ask("POST", path, body, **named)[0] == 415
    status, headers, _ = server.ask("GET", "/v2", Origin="https://evil.example")
    assert (status, "access-control-allow-origin" in headers) == (200, False)
    assert server.ask("OPTIONS", PREDICT, Origin="https://evil.example")[0] == 405
    assert server.ask("GET", "/v2", Host="evil.example")[0] == 403
    assert server.ask("GET", "/", Host="evil.example")[0] == 403


def test_a_page_of_a_named_origin_is_served(packs, serve):
    here = {"Origin": "https://models.example"}
    with serve(packs / "mlp", "--cors-origin", here["Origin"]) as served:
        asking = {"Access_Control_Request_Method": "POST", **here}
        status, headers, content = served.ask("OPTIONS", PREDICT, **asking)
        assert (status, content) == (204, b"")
        assert headers["access-control-allow-origin"] == here["Origin"]
        assert "content-type" in headers["access-control-allow-headers"]
        for path, value, wanted in ((PREDICT, ROWS, 200), ("/v2/models/absent/predict", ROWS, 404)):
            body = json.dumps(value).encode()
            status, headers, _ = served.ask("POST", path, body, **here)
            assert (status, headers["vary"]) == (wanted, "origin")
            assert headers["access-control-allow-origin"] == here["Origin"]
        assert served.ask("POST", PREDICT, b"", Origin="https://evil.example")[0] == 403


def test_the_page_is_in_no_frame_and_loads_and_sends_nothing_elsewhere(server):
    connection = http.client.HTTPConnection(server.host, server.port)
    for path in ("/", "/docs"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        policy = answer.headers["content-security-policy"]
        for part in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert "form-action 'none'" in policy
    connection.close()
