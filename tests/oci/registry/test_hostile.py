"""Against a registry that lies, stalls, breaks off, or sends us elsewhere."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from functools import partial
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.errors import ImageError, OnnxpackError, RegistryError
from onnxpack.oci import media
from onnxpack.oci.descriptor import MAX_SIZE
from onnxpack.oci.digest import digest_of
from onnxpack.oci.document import MAX_BYTES, encode
from onnxpack.oci.image import make_image
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry import upload
from onnxpack.oci.registry.challenge import read_challenges
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.pull import pull, resolve
from onnxpack.oci.registry.push import push

MINE = Credential("anna", "hunter2")
KIND = {"Content-Type": media.MANIFEST}


@pytest.fixture
def name(server) -> Reference:
    return Reference.parse(f"{server.address}/a/b:1")


@pytest.fixture
def image(make_layer):
    return make_image([make_layer()])


def honest(server, image):
    """What a true registry says."""
    known = {f"/v2/a/b/blobs/{digest_of(image.config)}": image.config}
    for layer in image.layers:
        known[f"/v2/a/b/blobs/{layer.descriptor.digest}"] = layer.path.read_bytes()

    def respond(asked):
        if asked.path.startswith("/v2/a/b/manifests/"):
            return server.answer(200, dict(KIND), image.manifest)
        found = known.get(asked.path)
        return server.answer(404) if found is None else server.answer(body=found)

    return respond


def but(respond, part, answer):
    """The same, save for the paths that hold a part."""

    def changed(asked):
        if part not in asked.path:
            return respond(asked)
        return answer(asked) if callable(answer) else answer

    return changed


def test_the_double_is_a_registry(server, name, image, tmp_path):
    server.respond = honest(server, image)
    assert pull(name, tmp_path / "store").manifest == image.manifest


@pytest.mark.parametrize("wrong", [b"{}", b"", b"{", b"[]"])
def test_another_manifest_than_was_asked_for(wrong, server, name, image, tmp_path):
    server.respond = but(honest(server, image), "manifests", server.answer(200, KIND, wrong))
    with pytest.raises(OnnxpackError):
        pull(name, tmp_path / "store")
    with pytest.raises(RegistryError, match="a manifest with the digest"):
        pull(name.with_digest(image.digest), tmp_path / "store")


def test_a_digest_in_the_headers_that_is_not_the_bodys(server, name, image, tmp_path):
    lie = {**KIND, "Docker-Content-Digest": digest_of(b"lie")}
    server.respond = but(
        honest(server, image), "manifests", server.answer(200, lie, image.manifest)
    )
    with pytest.raises(RegistryError, match="a manifest with the digest"):
        pull(name, tmp_path / "store")
    with pytest.raises(RegistryError, match="a manifest with the digest"):
        resolve(name.with_digest(image.digest))


def test_a_head_that_tells_nothing_is_made_up_for(server, name, image):
    server.respond = honest(server, image)
    assert resolve(name).digest == image.digest
    assert [each.method for each in server.asked] == ["HEAD", "GET"]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_huge_manifest_is_not_taken(method, server, name, image, tmp_path):
    large = encode({"x": "y" * MAX_BYTES})
    told = {**KIND, "Docker-Content-Digest": digest_of(large)}
    server.respond = but(honest(server, image), "manifests", server.answer(200, told, large))
    with pytest.raises(RegistryError, match=r"more than|at most"):
        resolve(name) if method == "HEAD" else pull(name, tmp_path / "store")


def test_a_type_in_the_headers_that_is_not_the_bodys(server, name, image, tmp_path):
    lie = {"Content-Type": media.INDEX}
    server.respond = but(
        honest(server, image), "manifests", server.answer(200, lie, image.manifest)
    )
    with pytest.raises(RegistryError, match="says it is"):
        pull(name, tmp_path / "store")


def test_what_is_no_image(server, name, image, tmp_path):
    for kind in ("text/html", ""):
        old = server.answer(200, {"Content-Type": kind}, b'{"schemaVersion":1}')
        server.respond = but(honest(server, image), "manifests", old)
        with pytest.raises(ImageError):
            pull(name, tmp_path / "store")


def test_indexes_in_indexes_come_to_an_end(server, name, image, tmp_path):
    def index(asked):
        inner = {"mediaType": media.INDEX, "digest": digest_of(b"x"), "size": 1}
        content = encode({"schemaVersion": 2, "manifests": [inner]})
        return server.answer(200, {"Content-Type": media.INDEX}, content)

    server.respond = but(honest(server, image), "manifests", index)
    with pytest.raises(RegistryError, match="a manifest with the digest"):
        pull(name, tmp_path / "store")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    "wrong", [b"", b"x", b"{}" * 500, lambda good: good[:-1], lambda good: good + b"x"]
)
@pytest.mark.parametrize("which", ["config", "layer"])
def test_another_blob_than_was_announced(which, wrong, server, name, image, tmp_path, eager):
    about = image.config_descriptor if which == "config" else image.layers[0].descriptor
    good = image.config if which == "config" else image.layers[0].path.read_bytes()
    content = wrong(good) if callable(wrong) else wrong
    server.respond = but(honest(server, image), about.digest, server.answer(body=content))
    with pytest.raises(RegistryError, match="not"):
        pull(name, tmp_path / "store", patience=eager)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_blob_of_the_right_size_alone(server, name, image, tmp_path):
    about = image.layers[0].descriptor
    wrong = server.answer(body=bytes(about.size))
    server.respond = but(honest(server, image), about.digest, wrong)
    with pytest.raises(RegistryError, match=f"expected {about.digest}"):
        pull(name, tmp_path / "store")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_length_that_is_wrong(server, name, image, tmp_path, eager):
    """More was announced than comes: the line breaks, each time."""
    about = image.layers[0].descriptor
    content = image.layers[0].path.read_bytes()[:-5]
    short = server.answer(200, {"Content-Length": str(about.size)}, content)
    server.respond = but(honest(server, image), about.digest, short)
    with pytest.raises(RegistryError, match=r"cannot be reached|bytes"):
        pull(name, tmp_path / "store", patience=eager)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke(ranges, server, name, make_layer, tmp_path, eager):
    image = make_image([make_layer(os.urandom(200_000), compression="none")])
    about, content = image.layers[0].descriptor, image.layers[0].path.read_bytes()

    def broken(asked):
        start = int(re.sub(r"\D", "", asked.headers.get("Range", "0")))
        start = start if ranges else 0
        full = {"Content-Length": str(about.size - start)}
        tries = sum(about.digest in each.path for each in server.asked)
        part = content[start : about.size if tries > 2 else about.size // 3 * tries]
        return server.answer(206 if start else 200, full, part)

    server.respond = but(honest(server, image), about.digest, broken)
    found = pull(name, tmp_path / "store", patience=eager)
    assert found.layers[0].path.read_bytes() == content


def test_a_compressed_answer_is_not_unpacked(server, name, image, tmp_path):
    """A bomb in the line's own compression would be one before any digest is known."""
    import gzip

    headers = {**KIND, "Content-Encoding": "gzip"}
    packed = server.answer(200, headers, gzip.compress(image.manifest))
    server.respond = but(honest(server, image), "manifests", packed)
    with pytest.raises(ImageError, match="is not JSON"):
        pull(name, tmp_path / "store")
    assert {each.headers["Accept-Encoding"] for each in server.asked} == {"identity"}


def test_sizes_that_are_announced_are_bounded(server, name, image, tmp_path):
    manifest = json.loads(image.manifest)
    for size in (MAX_SIZE + 1, -1, MAX_BYTES + 1):
        manifest["config"]["size"] = size
        content = server.answer(200, KIND, encode(manifest))
        server.respond = but(honest(server, image), "manifests", content)
        with pytest.raises(OnnxpackError, match=r"a size that is not valid|at most"):
            pull(name, tmp_path / "store")


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "http://example.com/blob",
        "http://169.254.169.254/latest/meta-data",
        "gopher://localhost/x",
        "//example.com/x",
        "https://user:pass@example.com/",
        "http://[::1",
        "https://",
        "",
    ],
)
@pytest.mark.parametrize("what", ["download", "upload"])
def test_a_redirect_to_where_no_registry_sends_one(
    what, location, server, name, image, tmp_path, eager
):
    if what == "download":
        moved = server.answer(307, {"Location": location})
        transfer = partial(pull, name, tmp_path / "store", patience=eager)
        server.respond = but(honest(server, image), "/blobs/", moved)
        # An empty one leads to where one is, again and again.
        match = r"is refused|to an address|redirects more than|Invalid URL in location"
    else:
        server.respond = lambda asked: server.answer(
            404 if asked.method == "HEAD" else 202, {"Location": location}
        )
        transfer = partial(push, image, name, patience=eager)
        match = r"is refused|to an address|does not say where|Invalid URL in location"
    with pytest.raises(RegistryError, match=match):
        transfer()


def locked(server, respond):
    """Asks for a name and a password first."""

    def ask(asked):
        if asked.headers.get("Authorization") != MINE.basic:
            return server.answer(401, {"WWW-Authenticate": 'Basic realm="x"'})
        return respond(asked)

    return ask


def test_a_redirect_takes_no_credentials_along(server, name, image, tmp_path, make_server):
    other = make_server()
    respond = honest(server, image)
    other.respond = respond
    server.respond = locked(
        server,
        but(
            respond,
            "/blobs/",
            lambda asked: server.answer(307, {"Location": f"http://{other.address}{asked.path}"}),
        ),
    )
    assert pull(name, tmp_path / "store", credential=MINE).manifest == image.manifest
    assert len(other.asked) == 2
    assert not any("Authorization" in each.headers for each in other.asked)


def test_an_upload_elsewhere_takes_no_credentials_along(server, name, image, make_server):
    other = make_server()
    other.respond = lambda asked: other.answer(201)

    def respond(asked):
        if asked.method == "POST":
            return server.answer(202, {"Location": f"http://{other.address}/up?a=b"})
        return server.answer(201 if asked.method == "PUT" else 404)

    server.respond = locked(server, respond)
    done = push(image, name, credential=MINE)
    assert len(done.sent) == 2
    assert len(other.asked) == 2
    assert not any("Authorization" in each.headers for each in other.asked)
    queries = [parse_qs(urlsplit(each.path).query) for each in other.asked]
    assert {query["digest"][0] for query in queries} == set(done.sent)
    assert all(query["a"] == ["b"] for query in queries)


def test_a_redirect_of_what_writes_is_not_followed(server, name, image, make_server):
    other = make_server()
    respond = but(
        lambda asked: server.answer(404),
        "/uploads/",
        server.answer(307, {"Location": f"http://{other.address}/"}),
    )
    server.respond = respond
    with pytest.raises(RegistryError, match=r"refuses the upload of sha256:.*: 307"):
        push(image, name)
    assert other.asked == []


@pytest.mark.parametrize(
    "realm", ["http://example.com/token", "file:///etc/passwd", "", "http://u:p@localhost/"]
)
def test_a_realm_that_nobody_should_be_told_a_password(realm, server, name, image, tmp_path):
    asks = server.answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})
    server.respond = lambda asked: asks
    with pytest.raises(
        RegistryError, match=r"log-in|returned no token|does not accept these credentials"
    ):
        pull(name, tmp_path / "store", credential=MINE)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"token":7}', b'{"token":""}', b'{"token":"a\\r\\nb: c"}', b"[" * 99999],
)
def test_a_token_that_is_none(body, server, name, tmp_path):
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token"'}
    server.respond = but(
        lambda asked: server.answer(401, realm), "/token", server.answer(body=body)
    )
    with pytest.raises(RegistryError, match="returned no token"):
        pull(name, tmp_path / "store")


def test_a_token_that_is_huge(server, name, tmp_path):
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token"'}
    huge = server.answer(body=b" " * (MAX_BYTES + 1))
    server.respond = but(lambda asked: server.answer(401, realm), "/token", huge)
    with pytest.raises(RegistryError, match="more than"):
        pull(name, tmp_path / "store")


def test_a_token_that_ran_out_is_asked_for_anew(server, name, image, tmp_path):
    """Each token serves for one request."""
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token",service="s"'}
    fresh, used = [], set()
    respond = honest(server, image)

    def ask(asked):
        if asked.path.startswith("/token"):
            fresh.append(f"token{len(fresh)}")
            return server.answer(body=json.dumps({"access_token": fresh[-1]}).encode())
        sent = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if sent not in fresh or sent in used:
            return server.answer(401, realm)
        used.add(sent)
        return respond(asked)

    server.respond = ask
    assert pull(name, tmp_path / "store").manifest == image.manifest
    assert len(fresh) == 3


def test_an_identity_token_is_exchanged(server, name, image, tmp_path):
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token",service="s"'}

    def ask(asked):
        if asked.path.startswith("/token"):
            form = parse_qs(asked.body.decode())
            assert form["refresh_token"] == ["mine"]
            assert form["scope"] == ["repository:a/b:pull"]
            assert asked.method == "POST"
            return server.answer(body=b'{"access_token":"t"}')
        if asked.headers.get("Authorization") != "Bearer t":
            return server.answer(401, realm)
        return honest(server, image)(asked)

    server.respond = ask
    found = pull(name, tmp_path / "store", credential=Credential(identity_token="mine"))
    assert found.manifest == image.manifest


def test_a_registry_that_never_has_enough(server, name, image, tmp_path):
    realm = {"WWW-Authenticate": f'Bearer realm="http://{server.address}/token"'}
    server.respond = but(
        lambda asked: server.answer(401, realm), "/token", server.answer(body=b'{"token":"t"}')
    )
    with pytest.raises(RegistryError, match="does not accept these credentials") as caught:
        pull(name, tmp_path / "store", credential=MINE)
    assert caught.value.remedy == f"docker login {server.address}"
    assert len(server.asked) == 3
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, None])
def test_a_busy_registry_is_asked_again(status, server, name, image, tmp_path, eager):
    respond = honest(server, image)

    def sometimes(asked):
        if len(server.asked) % 2:
            return None if status is None else server.answer(status, {"Retry-After": "0"})
        return respond(asked)

    server.respond = sometimes
    assert pull(name, tmp_path / "store", patience=eager).manifest == image.manifest


@pytest.mark.parametrize("status", [429, 503])
def test_patience_comes_to_an_end(status, server, name, tmp_path, eager):
    """Whatever it asks for, no wait is longer than ours."""
    server.respond = lambda asked: server.answer(status, {"Retry-After": "86400"})
    with pytest.raises(RegistryError, match=f"{status}"):
        pull(name, tmp_path / "store", patience=eager)
    assert len(server.asked) == eager.attempts


@pytest.mark.parametrize("status", [400, 403, 404, 405, 418])
def test_a_plain_no_is_not_asked_again(status, server, name, tmp_path, eager):
    body = b'{"errors":[{"code":"DENIED","message":"no \\u001b[31mway"}]}'
    server.respond = lambda asked: server.answer(status, {}, body)
    with pytest.raises(RegistryError, match=f"{status}, DENIED no .31mway") as caught:
        pull(name, tmp_path / "store", patience=eager)
    assert "\x1b" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors":[]}', b'{"errors":[1]}', b"{" * 99999])
def test_a_no_without_words_is_told_as_well(body, server, name, tmp_path):
    server.respond = lambda asked: server.answer(403, {}, body)
    with pytest.raises(RegistryError, match=r"refuses a/b:1: 403\."):
        pull(name, tmp_path / "store")


def test_no_registry_at_all(server, name):
    server.respond = lambda asked: server.answer(200, {}, b"hello")
    with Client(name) as client:
        client.ping()
    server.respond = lambda asked: server.answer(404, {}, b"hello")
    with Client(name) as client, pytest.raises(RegistryError, match="the registry API"):
        client.ping()


class Uploads:
    """A registry that takes uploads in chunks, keeps what came, and breaks off within some."""

    def __init__(self, server, *, breaks, status=True):
        self.server, self.breaks, self.status = server, breaks, status
        self.held, self.blobs, self.patched, self.begun = b"", {}, 0, 0

    def __call__(self, asked):
        answer, path = self.server.answer, urlsplit(asked.path)
        place = {"Location": f"/up/{self.begun}"}
        if asked.method == "HEAD":
            return answer(200 if path.path.rpartition("/")[2] in self.blobs else 404)
        if asked.method == "POST":
            self.held, self.begun = b"", self.begun + 1
            return answer(202, {"Location": f"/up/{self.begun}"})
        if asked.method == "GET":
            if not self.status:
                return answer(404)
            return answer(204, {**place, "Range": f"0-{max(len(self.held) - 1, 0)}"})
        if asked.method == "PATCH":
            return self._patch(asked, place)
        if "/manifests/" in path.path:
            return answer(201)
        return self._finish(asked, parse_qs(path.query)["digest"][0])

    def _patch(self, asked, place):
        start = int(asked.headers["Content-Range"].partition("-")[0])
        if start != len(self.held):
            return self.server.answer(416, place)
        self.patched += 1
        if self.patched in self.breaks:
            self.held += asked.body[: len(asked.body) // 2]
            return None
        self.held += asked.body
        return self.server.answer(202, {**place, "Range": f"0-{len(self.held) - 1}"})

    def _finish(self, asked, digest):
        content = self.held + asked.body
        if digest_of(content) != digest:
            return self.server.answer(400)
        self.blobs[digest], self.held = content, b""
        return None if "finish" in self.breaks else self.server.answer(201)


@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize("breaks", [(), (1,), (2, 3), ("finish",), (3, "finish")])
def test_an_upload_goes_on_where_it_broke(
    breaks, status, server, name, make_layer, monkeypatch, eager
):
    monkeypatch.setattr(upload, "MONOLITHIC", 1000)
    monkeypatch.setattr(upload, "CHUNK_SIZE", 2000)
    content = os.urandom(5000)
    server.respond = uploads = Uploads(server, breaks=breaks, status=status)
    with Client(name, patience=eager) as client:
        assert upload.put_blob(client, content) == "sent"
    assert uploads.blobs == {digest_of(content): content}
    if status:
        assert uploads.begun == 1


def test_an_upload_that_the_registry_finds_invalid_begins_anew(server, name, monkeypatch, eager):
    """As docker-registry says now and then of one whose chunk broke off."""
    monkeypatch.setattr(upload, "MONOLITHIC", 1000)
    monkeypatch.setattr(upload, "CHUNK_SIZE", 2000)
    uploads, patches = Uploads(server, breaks=()), []

    def respond(asked):
        patches.extend([asked] if asked.method == "PATCH" else [])
        if asked.method == "PATCH" and len(patches) == 2:
            return server.answer(404, {}, b'{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}')
        return uploads(asked)

    server.respond = respond
    content = os.urandom(5000)
    with Client(name, patience=eager) as client:
        assert upload.put_blob(client, content) == "sent"
    assert uploads.blobs == {digest_of(content): content}
    assert uploads.begun == 2


def test_a_small_blob_whose_upload_broke_begins_anew(server, name, eager):
    server.respond = uploads = Uploads(server, breaks=("finish",))
    with Client(name, patience=eager) as client:
        assert upload.put_blob(client, b"small") == "sent"
    assert list(uploads.blobs.values()) == [b"small"]


def test_a_registry_that_takes_it_for_another_manifest(server, name, image):
    def respond(asked):
        if asked.method == "HEAD" and "/blobs/" in asked.path:
            return server.answer(200)
        return server.answer(201, {"Docker-Content-Digest": digest_of(b"another")})

    server.respond = respond
    with pytest.raises(RegistryError, match="stored the manifest a/b:1 as sha256"):
        push(image, name)


def test_a_layer_that_changed_since_is_not_taken(server, name, image, eager):
    """The registry counts as well; what we say is what the image says."""
    layer = image.layers[0]
    layer.path.write_bytes(bytes(layer.descriptor.size))
    server.respond = Uploads(server, breaks=())
    with pytest.raises(RegistryError, match=r"refuses the upload of sha256:.*: 400"):
        push(image, name, patience=eager)
    short = replace(layer.descriptor, size=layer.descriptor.size * 2)
    changed = make_image([replace(layer, descriptor=short)])
    with pytest.raises(ImageError, match="shorter"):
        push(changed, name, patience=eager)


@given(st.text(max_size=200) | st.text(alphabet='Bearer realm="x",\\ =', max_size=200))
def test_any_challenge_is_read(text):
    for each in read_challenges([text]):
        assert each.scheme == each.scheme.lower()


def test_challenges_are_read_as_the_standard_says():
    line = (
        'Basic realm="a, \\"b\\"", Bearer realm="https://x/t",service=reg.io,scope="a:b:pull,push"'
    )
    basic, bearer = read_challenges([line])
    assert (basic.scheme, basic.parameters) == ("basic", {"realm": 'a, "b"'})
    assert bearer.scheme == "bearer"
    assert bearer.parameters == {
        "realm": "https://x/t",
        "service": "reg.io",
        "scope": "a:b:pull,push",
    }
    assert read_challenges([]) == ()
