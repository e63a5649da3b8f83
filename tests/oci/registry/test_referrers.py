"""What is attached to an image, in a registry that lists it and in one that needs a tag."""

from __future__ import annotations

import json
import os
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from onnxpack.errors import ImageError, RegistryError, UsageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of, hex_of
from onnxpack.oci.document import encode
from onnxpack.oci.image import Image, make_artifact, make_image
from onnxpack.oci.index import Index, make_index, members
from onnxpack.oci.layer.layer import blob_layer
from onnxpack.oci.reference import Reference
from onnxpack.oci.registry.client import Client
from onnxpack.oci.registry.pull import pull, resolve
from onnxpack.oci.registry.push import push, put_manifest
from onnxpack.oci.registry.referrers import MAX_PAGES, attach, attached, tag_of
from onnxpack.oci.store.validate import validate

KIND = "application/vnd.test+json"
SUBJECT = digest_of(b"the subject")


@pytest.fixture
def name(registry) -> Reference:
    """A repository of its own for each test, in Debian's registry, which has no API for it."""
    return Reference.parse(registry.name(f"tests/{os.urandom(6).hex()}:1"))


@pytest.fixture
def artifact_for(tmp_path):
    """Artifacts with the content that is asked for."""

    def make(subject, content=b"{}", **more):
        path = tmp_path / digest_of(content)[7:]
        path.write_bytes(content)
        more = {"artifact_type": KIND, "subject": subject and subject.descriptor, **more}
        return make_artifact([blob_layer(path, KIND)], **more)

    return make


class Modern:
    """A registry that lists by subject, a page with one artifact each."""

    def __init__(self, server):
        self._server = server
        self.name = Reference.parse(f"{server.address}/a/b:1")
        self.manifests, self.blobs, self.tags = {}, {}, {}
        server.respond = self

    @property
    def asked(self):
        return [(each.method, urlsplit(each.path).path) for each in self._server.asked]

    def __call__(self, asked):
        url = urlsplit(asked.path)
        kind, _, last = url.path.removeprefix("/v2/a/b/").rpartition("/")
        query = parse_qs(url.query)
        return getattr(self, f"{asked.method}_{kind.replace('/', '_')}".lower())(asked, last, query)

    def head_blobs(self, asked, digest, query):
        return self._server.answer(200 if digest in self.blobs else 404)

    def post_blobs_uploads(self, asked, last, query):
        return self._server.answer(202, {"Location": "/v2/a/b/blobs/uploads/1"})

    def put_blobs_uploads(self, asked, last, query):
        self.blobs[query["digest"][0]] = asked.body
        return self._server.answer(201)

    def put_manifests(self, asked, target, query):
        digest = digest_of(asked.body)
        self.manifests[digest] = asked.body
        self.tags[target] = digest
        subject = json.loads(asked.body).get("subject", {}).get("digest")
        return self._server.answer(201, {"OCI-Subject": subject} if subject else {})

    def get_referrers(self, asked, digest, query):
        found = [
            {"mediaType": media.MANIFEST, "digest": name, "size": len(content)}
            | {"artifactType": json.loads(content)["artifactType"]}
            for name, content in self.manifests.items()
            if json.loads(content).get("subject", {}).get("digest") == digest
        ]
        page = int(query.get("page", ["0"])[0])
        headers = {"Content-Type": f"{media.INDEX}; charset=utf-8"}
        if page + 1 < len(found):
            headers["Link"] = f'</v2/a/b/referrers/{digest}?page={page + 1}>; rel="next"'
        return self._server.answer(200, headers, listing(found[page : page + 1]))


def listing(manifests):
    return encode({"schemaVersion": 2, "mediaType": media.INDEX, "manifests": manifests})


def test_an_artifact_names_its_subject(image, artifact_for):
    found = artifact_for(image, annotations={"a": "b"})
    assert found.subject == Descriptor(image.media_type, image.digest, len(image.manifest))
    assert json.loads(found.manifest)["subject"].keys() == {"mediaType", "digest", "size"}
    assert validate(found) == ()
    assert image.subject is None


def test_a_registry_without_the_api_gets_a_tag(name, image, artifact_for, tmp_path):
    push(image, name)
    found = artifact_for(image, annotations={"a": "b"})
    reference = attach(found, name)
    assert str(reference) == f"{name.registry}/{name.repository}@{found.digest}"
    (listed,) = attached(name, image.digest)
    assert (listed.digest, listed.size) == (found.digest, len(found.manifest))
    assert (listed.artifact_type, listed.annotations) == (KIND, {"a": "b"})
    assert pull(reference, tmp_path / "store").manifest == found.manifest
    tag = Reference(name.registry, name.repository, f"sha256-{hex_of(image.digest)}")
    assert resolve(tag).media_type == media.INDEX
    assert resolve(name).digest == image.digest


def test_what_was_attached_before_stays(name, image, artifact_for):
    push(image, name)
    artifacts = [artifact_for(image, content) for content in (b"[1]", b"[2]")]
    other = artifact_for(image, b"[3]", artifact_type="application/x-other")
    for each in (*artifacts, other):
        attach(each, name)
    assert [each.digest for each in attached(name, image.digest)] == [
        *(each.digest for each in artifacts),
        other.digest,
    ]
    (found,) = attached(name, image.digest, artifact_type="application/x-other")
    assert found.digest == other.digest


def test_attaching_the_same_again_changes_nothing(name, image, artifact_for):
    push(image, name)
    attach(artifact_for(image), name)
    tag = Reference(name.registry, name.repository, tag_of(image.digest))
    before = resolve(tag)
    attach(artifact_for(image), name)
    assert resolve(tag) == before


def test_nothing_is_attached_to_what_is_new(name, image):
    push(image, name)
    assert attached(name, image.digest) == ()


def test_what_others_wrote_into_the_index_stays(name, image, artifact_for):
    push(image, name)
    first = artifact_for(image, b"[1]")
    push(first, name.with_digest(first.digest))
    theirs = {**first.descriptor.to_json(), "urls": ["https://example.com/"]}
    index = encode({**json.loads(listing([theirs])), "annotations": {"theirs": "too"}})
    with Client(name) as client:
        put_manifest(client, Index(index, ()), tag_of(image.digest))
    attach(artifact_for(image, b"[2]"), name)
    with Client(name) as client:
        found = json.loads(client.manifest(tag_of(image.digest))[1])
    assert found["manifests"][0] == theirs
    assert found["annotations"] == {"theirs": "too"}
    assert len(found["manifests"]) == 2


def test_a_tag_that_holds_something_else_is_left_alone(name, image, artifact_for):
    tagged = Reference(name.registry, name.repository, tag_of(image.digest))
    push(image, name)
    push(image, tagged)
    with pytest.raises(ImageError, match="not an index of what is attached"):
        attach(artifact_for(image), name)
    assert resolve(tagged).digest == image.digest


def test_a_registry_with_the_api_gets_no_tag(server, image, artifact_for):
    modern = Modern(server)
    push(image, modern.name)
    artifacts = [artifact_for(image, content) for content in (b"[1]", b"[2]", b"[3]")]
    for each in artifacts:
        attach(each, modern.name)
    assert modern.tags.keys() == {"1", *(each.digest for each in artifacts)}
    assert not [path for method, path in modern.asked if method == "GET"]
    found = attached(modern.name, image.digest, artifact_type=KIND)
    assert [each.digest for each in found] == [each.digest for each in artifacts]
    assert len([path for method, path in modern.asked if "/referrers/" in path]) == 3
    assert attached(modern.name, image.digest, artifact_type="application/x-other") == ()
    assert attached(modern.name, SUBJECT) == ()


def test_a_registry_that_lists_it_elsewhere_is_not_believed(server, image, artifact_for):
    """Its header tells of another subject: the tag is written all the same."""
    modern = Modern(server)
    written = modern.put_manifests
    modern.put_manifests = lambda *asked: _told(written(*asked), SUBJECT)
    modern.get_manifests = lambda *asked: server.answer(404)
    push(image, modern.name)
    attach(artifact_for(image), modern.name)
    content = modern.manifests[modern.tags[tag_of(image.digest)]]
    assert [each.artifact_type for each in members(content, what="it")] == [KIND]


def _told(answer, subject):
    answer.headers["OCI-Subject"] = subject
    return answer


def test_an_index_is_a_subject_too(name, layers, artifact_for):
    index = make_index([make_image(layers)])
    push(index, name)
    attach(artifact_for(index), name)
    assert len(attached(name, index.digest)) == 1


def test_an_artifact_without_a_subject_is_refused(name, artifact_for):
    with pytest.raises(UsageError, match="attached to nothing"):
        attach(artifact_for(None), name)


@pytest.mark.parametrize("digest", ["", "sha256:../../x", "sha512:" + "0" * 128])
def test_a_tag_is_made_of_a_digest_alone(digest):
    with pytest.raises(ImageError):
        tag_of(digest)


def test_a_subject_that_is_malformed_is_refused():
    with pytest.raises(ImageError, match="the subject"):
        Image(encode({"subject": {"digest": 1}}), b"{}", ()).subject  # noqa: B018


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (403, {}, b"", "the list of what is attached to"),
        (200, {"Content-Type": media.INDEX}, b"[]", "not an object"),
        (200, {"Content-Type": media.INDEX}, listing([{"digest": "../x"}]), "manifest 0"),
        (
            200,
            {"Content-Type": media.INDEX, "Link": '<http://elsewhere.example/>; rel="next"'},
            listing([]),
            "is refused",
        ),
        (
            200,
            {"Content-Type": media.INDEX, "Link": '<https://elsewhere.example/>; rel="next"'},
            listing([]),
            "elsewhere.example, which is refused",
        ),
        (
            200,
            {"Content-Type": media.INDEX, "Link": '<?again>; rel="next"'},
            listing([]),
            f"more than {MAX_PAGES} pages",
        ),
    ],
)
def test_a_list_that_is_hostile_is_refused(server, status, headers, body, message, eager):
    server.respond = lambda asked: server.answer(status, dict(headers), body)
    with pytest.raises((ImageError, RegistryError), match=re.escape(message)):
        attached(Reference.parse(f"{server.address}/a/b"), SUBJECT, patience=eager)
    assert len(server.asked) <= MAX_PAGES


def test_a_page_of_html_is_no_list(server, eager):
    """Some answer every path with their start page: then the tag counts."""

    def respond(asked):
        if "/referrers/" in asked.path:
            return server.answer(200, {"Content-Type": "text/html"}, b"<html>")
        return server.answer(404)

    server.respond = respond
    assert attached(Reference.parse(f"{server.address}/a/b"), SUBJECT, patience=eager) == ()
    assert server.asked[-1].path.endswith(f"/manifests/{tag_of(SUBJECT)}")
