from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.errors import UsageError
from onnxpack.oci.reference import Reference

DIGEST = "sha256:" + "0123456789abcdef" * 4

registries = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8}){1,2}(:[0-9]{1,5})?", fullmatch=True)
registries |= st.sampled_from(["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:80", "UPPER"])
parts = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
repositories = st.lists(parts, min_size=1, max_size=4).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}", fullmatch=True)
digests = st.just("") | st.just(DIGEST)


@given(registries, repositories, tags, digests)
def test_what_is_written_is_read_again(registry, repository, tag, digest):
    found = Reference(registry, repository, tag, digest)
    assert Reference.parse(str(found)) == found


@given(st.text(max_size=80) | st.text(alphabet="ab./:@-_[]sh256", max_size=80))
def test_any_text_is_a_name_or_a_clear_error(text):
    try:
        found = str(Reference.parse(text))
    except UsageError as exc:
        found = exc.message
    if "is not a valid image name" in found:
        assert len(found) < 1000
    else:
        assert str(Reference.parse(found)) == found


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.13-slim", "docker.io/library/python:3.13-slim"),
        ("docker.io/python", "docker.io/library/python:latest"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c"),
        ("team/model", "docker.io/team/model:latest"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x/y:tag", "localhost:5000/x/y:tag"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest"),
        (f"python@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
        (f"r.io/a:b@{DIGEST}", f"r.io/a:b@{DIGEST}"),
    ],
)
def test_what_goes_without_saying(text, full):
    assert str(Reference.parse(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        "a:",
        "a@",
        "a:b:c",
        "A",
        "team/Model",
        "a//b",
        "/a",
        "a/",
        "../a",
        "a/../b",
        "-a",
        "a:-b",
        f"a:{'b' * 129}",
        "a@sha256:abc",
        f"a@{DIGEST.upper()}",
        f"a@sha512:{'0' * 128}",
        f"r.io/{'a' * 251}",
        "r.io:99999999/a",
        "a b",
        "a\n",
        "a\0b",
        "https://r.io/a",
        "user:password@r.io/a",
        "r.io/a?b",
        "r.io/a#b",
        "é/a",
        "a:٣",
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(UsageError, match="is not a valid image name") as caught:
        Reference.parse(text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:5000/x", "http://localhost:5000"),
        ("127.0.0.1/x", "http://127.0.0.1"),
        ("[::1]:5000/x", "http://[::1]:5000"),
        ("127.0.0.1.evil.org/x", "https://127.0.0.1.evil.org"),
        ("localhost.evil.org/x", "https://localhost.evil.org"),
        ("127.0.0.2:80/x", "https://127.0.0.2:80"),
        ("python", "https://registry-1.docker.io"),
    ],
)
def test_plain_http_stays_on_this_machine(text, url):
    assert Reference.parse(text).url == url


def test_a_pinned_name_asks_for_its_digest():
    found = Reference.parse("r.io/a:b")
    assert found.target == "b"
    assert found.with_digest(DIGEST).target == DIGEST
    assert found.with_digest(DIGEST).tag == "b"
