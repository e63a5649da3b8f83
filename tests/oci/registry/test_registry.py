"""Against real registries: Debian's docker-registry, open, with passwords, and with tokens."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from onnxpack.errors import ImageError, RegistryError, UsageError
from onnxpack.oci.digest import digest_of, hex_of
from onnxpack.oci.image import append_layers, make_artifact, make_image
from onnxpack.oci.index import make_index
from onnxpack.oci.layer.layer import blob_layer
from onnxpack.oci.platform import Platform
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry import upload
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.pull import pull, resolve
from onnxpack.oci.registry.push import push
from onnxpack.oci.store.read import read_image
from onnxpack.oci.store.validate import validate, validate_layout


@pytest.fixture
def name(registry, request) -> Reference:
    """A repository of its own for each test."""
    return Reference.parse(registry.name(f"tests/{hex_of(digest_of(os.urandom(8)))[:12]}:1"))


def blobs_of(image):
    return {image.config_descriptor.digest, *(each.descriptor.digest for each in image.layers)}


def test_what_is_pushed_is_pulled_again(name, image, tmp_path):
    done = push(image, name)
    assert set(done.sent) == blobs_of(image)
    assert done.mounted == done.present == ()
    assert done.reference == name.with_digest(image.digest)
    assert done.size == image.size - len(image.manifest)
    found = pull(name, tmp_path)
    assert (found.manifest, found.config) == (image.manifest, image.config)
    assert validate(found) == ()
    assert resolve(name) == resolve(done.reference)
    assert resolve(name).digest == image.digest


def test_a_second_push_sends_only_what_changed(name, image, make_layer):
    push(image, name)
    again = push(image, name)
    assert (again.sent, again.size) == ((), 0)
    assert set(again.present) == blobs_of(image)
    layer = make_layer()
    changed = append_layers(image, [layer])
    done = push(changed, name)
    assert set(done.sent) == {layer.descriptor.digest, changed.config_descriptor.digest}
    assert set(done.present) == {each.descriptor.digest for each in image.layers}
    assert done.size == layer.descriptor.size + len(changed.config)
    assert resolve(name).digest == changed.digest


def test_blobs_are_mounted_from_another_repository(registry, name, image, make_layer):
    push(image, name)
    layer = make_layer()
    changed = append_layers(image, [layer])
    other = Reference.parse(registry.name(f"{name.repository}/other:2"))
    done = push(changed, other, mount_from=[name.repository, other.repository, "tests/none"])
    assert set(done.mounted) == {each.descriptor.digest for each in image.layers}
    assert set(done.sent) == {layer.descriptor.digest, changed.config_descriptor.digest}
    assert resolve(other).digest == changed.digest


def test_a_store_keeps_layers_between_pulls(name, image, make_layer, tmp_path):
    push(image, name)
    pull(name, tmp_path)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()}
    assert len(before) == 2
    layer = make_layer()
    push(append_layers(image, [layer]), name)
    pull(name, tmp_path)
    after = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.is_file()}
    assert before.items() < after.items()
    assert {path.name for path in after.keys() - before.keys()} == {
        layer.path.name,
        hex_of(layer.descriptor.digest),
    }


def test_a_layer_in_the_store_that_was_altered_is_pulled_again(name, image, tmp_path):
    push(image, name)
    whole = [layer.path.read_bytes() for layer in pull(name, tmp_path).layers]
    for damage in (lambda text: b"?" + text[1:], lambda text: text[:-1], lambda text: text + b"0"):
        found = []
        for layer, text in zip(pull(name, tmp_path).layers, whole, strict=True):
            layer.path.write_bytes(damage(text))
        layers = pull(name, tmp_path, damaged=found.append).layers
        assert [layer.path.read_bytes() for layer in layers] == whole
        assert {str(layer.path) for layer in layers} == {
            each.message.partition(" ")[0] for each in found
        }


def test_an_index_is_pushed_with_all_of_its_images(name, layers, tmp_path):
    images = [make_image(layers, platform=Platform(each)) for each in ("amd64", "arm64")]
    index = make_index(images)
    done = push(index, name)
    assert done.reference.digest == index.digest
    for image in images:
        found = pull(name, tmp_path, platform=image.platform)
        assert found.manifest == image.manifest
        assert resolve(name.with_digest(image.digest)).digest == image.digest
    with pytest.raises(ImageError, match="no image for linux/s390x"):
        pull(name, tmp_path, platform=Platform("s390x"))


def test_an_artifact_is_pushed_to_the_byte(name, tmp_path):
    (tmp_path / "weights").write_bytes(os.urandom(100))
    layer = blob_layer(tmp_path / "weights", "application/x-weights")
    found = make_artifact([layer], artifact_type="application/x-model")
    push(found, name)
    again = pull(name, tmp_path / "store")
    assert (again.manifest, again.config) == (found.manifest, b"{}")
    assert again.layers[0].path.read_bytes() == (tmp_path / "weights").read_bytes()


def test_skopeo_and_we_understand_each_other(name, image, tmp_path):
    push(image, name)
    plain = "--src-tls-verify=false"
    _run("skopeo", "copy", plain, f"docker://{name}", f"oci:{tmp_path}/theirs:1")
    assert read_image(tmp_path / "theirs").manifest == image.manifest
    assert validate_layout(tmp_path / "theirs") == ()
    plain, copy = "--dest-tls-verify=false", Reference.parse(f"{str(name)[:-2]}/copy:2")
    _run("skopeo", "copy", plain, f"oci:{tmp_path}/theirs:1", f"docker://{copy}")
    assert pull(copy, tmp_path / "store").manifest == image.manifest
    _run("skopeo", "copy", plain, "-f", "v2s2", f"oci:{tmp_path}/theirs:1", f"docker://{copy}")
    found = pull(copy, tmp_path / "store")
    assert found.config == image.config
    assert validate(found) == ()
    assert validate(append_layers(found, [])) == ()


def test_docker_pulls_runs_and_pushes(docker, name, image, tmp_path):
    push(image, name)
    docker("pull", str(name))
    assert docker("run", "--rm", "--network", "none", str(name)) == "hello from a layer\n"
    other = Reference.parse(f"{str(name)[:-2]}/docker:1")
    docker("tag", str(name), str(other))
    docker("push", str(other))
    found = pull(other, tmp_path)
    assert found.config == image.config
    assert validate(found) == ()


def test_a_large_blob_goes_in_chunks(name, make_layer, monkeypatch):
    monkeypatch.setattr(upload, "CHUNK_SIZE", 2**20)
    layer = make_layer(os.urandom(upload.MONOLITHIC + 12345), compression="none")
    told = []
    push(make_image([layer]), name, progress=lambda *each: told.append(each))
    assert told == sorted(told)
    assert told[-1] == (layer.descriptor.digest, layer.descriptor.size, layer.descriptor.size)
    assert len(told) > 4
    with Client(name) as client:
        assert client.has_blob(layer.descriptor.digest)


@pytest.mark.parametrize("breaks", [[3_000_000], [5_500_000], [200, 300, 100_000]])
def test_an_upload_goes_on_after_the_line_broke(
    breaks, registry, name, make_layer, make_line, monkeypatch, eager
):
    monkeypatch.setattr(upload, "CHUNK_SIZE", 2 * 2**20)
    line = make_line(registry.address, list(breaks))
    layer = make_layer(os.urandom(6 * 2**20), compression="none")
    through = Reference.parse(f"{line.address}/{name.repository}:1")
    image = make_image([layer])
    push(image, through, patience=eager)
    assert line.whole
    assert resolve(name).digest == image.digest


def test_an_upload_that_broke_between_chunks_goes_on_there(
    registry, name, make_layer, make_line, monkeypatch, eager
):
    """Within a chunk this registry loses count, and it all begins anew."""
    monkeypatch.setattr(upload, "CHUNK_SIZE", 2 * 2**20)
    line = make_line(registry.address, [2 * upload.CHUNK_SIZE + 5000])
    layer = make_layer(os.urandom(6 * 2**20), compression="none")
    with Client(Reference.parse(f"{line.address}/{name.repository}"), patience=eager) as client:
        assert upload.put_blob(client, layer) == "sent"
    assert line.whole
    assert line.sent < 1.1 * layer.descriptor.size


def test_a_line_that_always_breaks_is_told(registry, name, make_layer, make_line, eager):
    line = make_line(registry.address, [2_000_000] * 20)
    layer = make_layer(os.urandom(6 * 2**20), compression="none")
    through = Reference.parse(f"{line.address}/{name.repository}:1")
    with pytest.raises(RegistryError, match="cannot be reached"):
        push(make_image([layer]), through, patience=eager)


def test_what_is_not_there_is_told(name, registry, tmp_path):
    with pytest.raises(RegistryError, match=r"refuses tests/.*: 404") as caught:
        pull(name, tmp_path)
    assert caught.value.remedy
    with pytest.raises(RegistryError, match="404"):
        resolve(name.with_digest(digest_of(b"")))
    with Client(name) as client:
        client.ping()
        assert not client.has_blob(digest_of(b"nothing of that kind"))


def test_a_digest_that_is_not_the_images_is_refused(name, image):
    with pytest.raises(UsageError, match="cannot name content with the digest"):
        push(image, name.with_digest(digest_of(b"")))


def test_nobody_listens(image, eager, make_server):
    with pytest.raises(RegistryError, match="cannot be reached"):
        push(image, Reference.parse("127.0.0.1:1/a"), patience=eager)


def test_who_is_not_known_is_told_to_log_in(locked_registry, image):
    where = Reference.parse(locked_registry.name("a:1"))
    with pytest.raises(RegistryError, match="requires a log-in") as caught:
        push(image, where)
    assert caught.value.remedy == f"docker login {locked_registry.address}"


def test_a_wrong_password_is_told_and_not_shown(locked_registry, image):
    where = Reference.parse(locked_registry.name("a:1"))
    with pytest.raises(RegistryError, match="does not accept these credentials") as caught:
        push(image, where, credential=Credential("anna", "hunter2"))
    assert "hunter2" not in str(caught.value)


def test_dockers_own_login_is_enough(locked_registry, image, monkeypatch, tmp_path):
    auth = base64.b64encode(b"anna:pw").decode()
    config = {"auths": {locked_registry.address: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    where = Reference.parse(locked_registry.name("a:1"))
    push(image, where)
    assert pull(where, tmp_path / "store").manifest == image.manifest


def test_podmans_login_is_enough(locked_registry, image, monkeypatch, tmp_path):
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    command = ["skopeo", "login", "--tls-verify=false", "-u", "anna", "--password-stdin"]
    subprocess.run([*command, locked_registry.address], input=b"pw", check=True)
    push(image, Reference.parse(locked_registry.name("podman:1")))


@pytest.fixture
def token_registry(make_server, start_registry, tmp_path):
    """A registry that wants tokens, and a service that gives them to anna."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    _run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tests"),
        *("-keyout", key, "-out", certificate, "-days", "2"),
    )
    service = make_server()
    auth = {
        "token": {
            "realm": f"http://{service.address}/token",
            "service": "the-registry",
            "issuer": "tests",
            "rootcertbundle": str(certificate),
        }
    }
    service.respond = lambda asked: _grant(service, asked, key, certificate)
    with start_registry(auth=auth) as registry:
        yield registry, service


def _grant(service, asked, key, certificate):
    if asked.headers.get("Authorization") != Credential("anna", "pw").basic:
        return service.answer(401)
    query = parse_qs(urlsplit(asked.path).query)
    access = []
    for scope in query.get("scope", []):
        kind, name, actions = scope.split(":")
        access.append({"type": kind, "name": name, "actions": actions.split(",")})
    now = int(time.time())
    pem = certificate.read_text().split("-----")[2]
    claims = {"iss": "tests", "aud": query["service"][0], "exp": now + 300, "access": access}
    claims |= {"nbf": now - 60, "iat": now - 60, "sub": "anna", "jti": "1"}
    head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}
    text = b".".join(_url64(json.dumps(each).encode()) for each in (head, claims))
    command = ["openssl", "dgst", "-sha256", "-sign", str(key)]
    signature = subprocess.run(command, input=text, capture_output=True, check=True).stdout
    token = b".".join((text, _url64(signature))).decode()
    return service.answer(body=json.dumps({"token": token}).encode())


def _url64(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def test_tokens_are_asked_for_by_scope(token_registry, image, make_layer, tmp_path):
    registry, service = token_registry
    mine = Credential("anna", "pw")
    where = Reference.parse(registry.name("a/b:1"))
    push(image, where, credential=mine)
    scopes = [parse_qs(urlsplit(each.path).query)["scope"] for each in service.asked]
    assert scopes == [["repository:a/b:pull,push"]]
    assert pull(where, tmp_path, credential=mine).manifest == image.manifest
    other = Reference.parse(registry.name("c:1"))
    done = push(image, other, credential=mine, mount_from=["a/b"])
    assert set(done.mounted) == blobs_of(image)
    with pytest.raises(RegistryError, match="does not accept these credentials"):
        push(image, where, credential=Credential("anna", "wrong"))
    with pytest.raises(RegistryError, match="requires a log-in"):
        pull(where, tmp_path)


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
