"""What was altered after its export is not served as proven."""

import shutil

import pytest

from onnxpack.errors import PackError
from onnxpack.pack.read import open_pack
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings


@pytest.fixture
def pack(packs, tmp_path):
    """A pack of one's own, with several golden sets."""
    copy = shutil.copytree(packs / "mlp", tmp_path / "mlp")
    assert len([*copy.glob("test_data_set_*")]) > 1
    return copy


def opened(pack, **settings):
    """The model, once it is open; its threads are ended."""
    repository = Repository()
    repository.open([open_pack(pack)], Settings(**settings))
    repository.close()
    (served,) = repository
    return served


def alter(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["README.md", "model.onnx", "test_data_set_0/input_0.pb"])
def test_an_altered_file_is_named(pack, name):
    alter(pack / name)
    with pytest.raises(PackError) as caught:
        opened(pack)
    first, second = caught.value.message.splitlines()
    assert first == f"{pack}: its files do not match pack.json:"
    assert second.startswith(f"  {name}: it was altered: sha256 ")
    assert caught.value.remedy.startswith(f"onnxpack check {pack};")


def test_a_graph_that_no_longer_loads_was_altered_first_of_all(pack):
    (pack / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(PackError, match=r"model\.onnx: it has 8 bytes, expected \d+"):
        opened(pack)


def test_missing_and_unnamed_files_are_faults(pack):
    (pack / "README.md").unlink()
    (pack / "more").touch()
    with pytest.raises(PackError) as caught:
        opened(pack)
    _, missing, unnamed = caught.value.message.splitlines()
    assert missing == f"  README.md: {pack}/README.md does not exist."
    assert unnamed.startswith("  more: it is in the folder, but ")


def test_of_many_faults_some_are_shown(pack):
    for number in range(40):
        (pack / f"more{number}").touch()
    with pytest.raises(PackError) as caught:
        opened(pack)
    _, *lines = caught.value.message.splitlines()
    assert (len(lines), lines[-1]) == (11, "  and 30 more")


def test_golden_sets_may_be_left_out(pack):
    """As an image does; what is left of them is held to its digest all the same."""
    for folder in pack.glob("test_data_set_*"):
        if folder.name != "test_data_set_0":
            shutil.rmtree(folder)
    assert opened(pack).proven
    alter(pack / "test_data_set_0" / "output_0.pb")
    with pytest.raises(PackError, match=r"test_data_set_0/output_0\.pb: it was altered"):
        opened(pack)


def test_a_file_beside_golden_sets_may_not_be_left_out(pack):
    """A name that only begins as theirs do is another."""
    (pack / "test_data_set_0" / "output_0.pb").rename(pack / "test_data_set_0.pb")
    shutil.rmtree(pack / "test_data_set_0")
    with pytest.raises(PackError, match=r"test_data_set_0\.pb: it is in the folder"):
        opened(pack)


def test_without_proof_it_is_served_all_the_same(pack):
    alter(pack / "README.md")
    assert not opened(pack, prove=False).proven


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_says_no(pack, onnxpack_serve, workers):
    alter(pack / "README.md")
    done = onnxpack_serve(pack, "--workers", workers)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {pack}: its files do not match pack.json:\n")
    assert f"→ onnxpack check {pack}; --no-prove" in done.stderr


def test_a_graph_that_cannot_be_loaded_is_named_with_its_path(pack, tmp_path):
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(b"no graph")
    with pytest.raises(PackError, match=rf"^{bare}: 'bare.onnx' cannot be loaded: "):
        opened(bare)
