"""A registry is spoken to as the user says: with TLS on any port, or without it anywhere."""

from __future__ import annotations

import ssl
import subprocess

import pytest

from onnxpack.errors import RegistryError, UsageError
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.address import follow, httpx
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.pull import pull, resolve
from onnxpack.oci.registry.push import push
from onnxpack.oci.registry.referrers import attached
from onnxpack.oci.registry.routes import proxy_of

ELSEWHERE = "127.0.0.2"
"""An address of this machine that is not taken for this machine's."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=tests", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def tls_registry(start_registry, certificate):
    cert, key = map(str, certificate)
    tls = {"certificate": cert, "key": key}
    with start_registry(http={"addr": "127.0.0.1:0", "secret": "s", "tls": tls}) as found:
        yield found


@pytest.fixture(scope="module")
def plain_registry(start_registry):
    with start_registry(http={"addr": f"{ELSEWHERE}:0", "secret": "s"}) as found:
        yield found


def test_tls_on_this_machine_by_its_authority(tls_registry, certificate, image, tmp_path):
    name = Reference.parse(tls_registry.name("a/b:1"))
    trusting = Connection(ca=certificate[0])
    push(image, name, connection=trusting)
    assert pull(name, tmp_path, connection=trusting).manifest == image.manifest
    assert resolve(name, connection=trusting).digest == image.digest
    assert attached(name, image.digest, connection=trusting) == ()


def test_a_certificate_of_a_stranger_is_refused(tls_registry):
    with pytest.raises(RegistryError, match="CERTIFICATE_VERIFY_FAILED"):
        resolve(Reference.parse(tls_registry.name("a/b:1")), connection=Connection(tls=True))


def test_a_registry_that_expects_tls_is_told_by_its_answer(tls_registry):
    with pytest.raises(RegistryError, match="400") as refused:
        resolve(Reference.parse(tls_registry.name("a/b:1")))
    assert refused.value.option == "--tls"


def test_plain_http_elsewhere_only_on_request(plain_registry, image, tmp_path):
    name = Reference.parse(plain_registry.name("a/b:1"))
    with pytest.raises(RegistryError, match="cannot be reached") as refused:
        push(image, name)
    assert refused.value.option == "--plain-http"
    plain = Connection(tls=False)
    push(image, name, connection=plain)
    assert pull(name, tmp_path, connection=plain).manifest == image.manifest


@pytest.mark.parametrize("content", [None, b"", b"no certificate", "key"])
def test_a_file_without_certificates_is_refused(tmp_path, certificate, content):
    path = certificate[1] if content == "key" else tmp_path / "ca.pem"
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(UsageError, match=f"^--ca {path} cannot be used: .* a PEM file"):
        Client(Reference.parse("localhost:1/a"), connection=Connection(ca=path))


def test_authorities_are_added_to_the_known_ones(certificate):
    known = len(Connection().context().get_ca_certs())
    context = Connection(ca=certificate[0]).context()
    assert len(context.get_ca_certs()) == known + 1 > 100
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_authorities_without_tls_are_a_mistake(certificate):
    with pytest.raises(UsageError, match="are for TLS, which is turned off"):
        Connection(tls=False, ca=certificate[0])


@pytest.mark.parametrize(
    ("base", "to", "allowed"),
    [
        ("http://registry.lan:5000/v2/", "http://registry.lan:5000/v2/upload", True),
        ("http://registry.lan:5000/v2/", "http://registry.lan:5001/v2/upload", False),
        ("http://registry.lan:5000/v2/", "http://localhost:5000/upload", False),
        ("http://localhost:5000/v2/", "http://127.0.0.1:6000/upload", True),
        ("https://registry.lan/v2/", "http://registry.lan/upload", False),
        ("https://localhost:5000/v2/", "http://localhost:5000/upload", False),
        ("http://registry.lan:5000/v2/", "https://elsewhere/upload", True),
    ],
)
def test_plain_http_leads_no_further_than_asked(base, to, allowed):
    if allowed:
        assert str(follow(httpx.URL(base), to, why="an upload")) == to
    else:
        with pytest.raises(RegistryError, match="which is refused"):
            follow(httpx.URL(base), to, why="an upload")


def test_proxies_of_the_environment_are_used_but_for_this_machine(monkeypatch, server, image):
    """The proxy answers as the registry does: what it was asked shows the way taken."""
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "near.lan,.inner.lan:5000")
    assert proxy_of(httpx.URL("http://far.lan/v2/")) == f"http://{server.address}"
    for direct in ("http://near.lan/", "http://a.inner.lan:5000/", "http://localhost:5000/",
                   "http://[::1]/", "https://far.lan/"):  # fmt: skip
        assert proxy_of(httpx.URL(direct)) is None
    server.respond = lambda _asked: server.answer(200)
    with Client(Reference.parse("far.lan:80/a"), connection=Connection(tls=False)) as client:
        client.ping()
    assert [each.path for each in server.asked] == ["http://far.lan/v2/"]
