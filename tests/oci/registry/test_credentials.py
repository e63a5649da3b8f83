from __future__ import annotations

import base64
import json
import os

import pytest

from onnxpack.errors import RegistryError
from onnxpack.oci.registry.credentials import Credential, find_credential

HELPER = """#!/bin/sh
read -r registry
case "$1 $registry" in
    "get known.io") echo '{"ServerURL":"known.io","Username":"anna","Secret":"pw"}' ;;
    "get token.io") echo '{"Username":"<token>","Secret":"long"}' ;;
    "get https://index.docker.io/v1/") echo '{"Username":"hub","Secret":"pw"}' ;;
    "get broken.io") echo 'secret words' ;;
    "get odd.io") echo '{"Username":1,"Secret":"secret words"}' ;;
    "get failing.io") echo 'secret words' >&2; exit 2 ;;
    *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes Docker's config.json."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(document, name="config.json"):
        text = document if isinstance(document, str) else json.dumps(document)
        (tmp_path / name).write_text(text)

    return write


@pytest.fixture
def helper(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def auth(text):
    return {"auth": base64.b64encode(text.encode()).decode()}


def test_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nowhere"))
    assert find_credential("r.io") is None


@pytest.mark.parametrize("document", [{}, {"auths": None}, {"auths": {"r.io": {}}}])
def test_an_empty_file_keeps_nothing(document, config):
    config(document)
    assert find_credential("r.io") is None


def test_dockers_file_keeps_a_name_and_a_password(config):
    config(
        {
            "auths": {
                "r.io": auth("anna:p:w"),
                "https://old.io/v1/": auth("old:pw"),
                "https://index.docker.io/v1/": auth("hub:pw"),
                "plain.io": {"username": "a", "password": "b"},
                "token.io": {"auth": "", "identitytoken": "long"},
            }
        }
    )
    assert find_credential("r.io") == Credential("anna", "p:w")
    assert find_credential("old.io") == Credential("old", "pw")
    assert find_credential("docker.io") == Credential("hub", "pw")
    assert find_credential("plain.io") == Credential("a", "b")
    assert find_credential("token.io") == Credential(identity_token="long")
    assert find_credential("io") is None
    assert find_credential("r.io:5000") is None


def test_dockers_file_is_looked_for_at_home(tmp_path, monkeypatch):
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {"r.io": auth("a:b")}}))
    assert find_credential("r.io") == Credential("a", "b")


def test_podmans_file_comes_first(config, tmp_path, monkeypatch):
    config({"auths": {"r.io": auth("docker:pw"), "other.io": auth("docker:pw")}})
    (tmp_path / "containers").mkdir()
    config({"auths": {"r.io": auth("podman:pw")}}, "containers/auth.json")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert find_credential("r.io") == Credential("podman", "pw")
    assert find_credential("other.io") == Credential("docker", "pw")
    config({"auths": {"r.io": auth("named:pw")}}, "named.json")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "named.json"))
    assert find_credential("r.io") == Credential("named", "pw")
    assert find_credential("other.io") is None


def test_a_helper_is_asked(config, helper):
    config({"credHelpers": {"known.io": "test", "token.io": "test", "none.io": "test"}})
    assert find_credential("known.io") == Credential("anna", "pw")
    assert find_credential("token.io") == Credential(identity_token="long")
    assert find_credential("none.io") is None
    assert find_credential("other.io") is None


def test_the_store_is_asked_for_all(config, helper):
    config({"credsStore": "test", "auths": {"docker.io": {}, "filed.io": auth("a:b")}})
    assert find_credential("known.io") == Credential("anna", "pw")
    assert find_credential("docker.io") == Credential("hub", "pw")
    assert find_credential("filed.io") == Credential("a", "b")
    assert find_credential("none.io") is None


@pytest.mark.parametrize("registry", ["broken.io", "odd.io", "failing.io"])
def test_a_broken_helper_is_told_and_what_it_says_is_not(registry, config, helper):
    config({"credsStore": "test"})
    with pytest.raises(RegistryError, match="docker-credential-test") as caught:
        find_credential(registry)
    seen = caught.value
    while seen is not None:
        assert "secret words" not in str(seen)
        seen = seen.__cause__


@pytest.mark.parametrize("name", ["missing", "../../bin/sh"])
def test_a_helper_that_is_none_is_told(name, config):
    config({"credsStore": name})
    with pytest.raises(RegistryError, match=r"credential|helper"):
        find_credential("r.io")


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        {"auths": []},
        {"auths": {"r.io": {"auth": "not base64!"}}},
        {"auths": {"r.io": {"auth": "/////w=="}}},
        {"auths": {"r.io": {"auth": 7}}},
        {"credHelpers": "x"},
    ],
)
def test_a_broken_file_is_told(document, config):
    config(document)
    with pytest.raises(RegistryError, match=r"config\.json"):
        find_credential("r.io")


def test_a_secret_is_never_printed():
    found = Credential("anna", "hunter2", "token3")
    for text in (repr(found), str(found), f"{[found]}"):
        assert "hunter2" not in text
        assert "token3" not in text
    assert found.basic == "Basic " + base64.b64encode(b"anna:hunter2").decode()
