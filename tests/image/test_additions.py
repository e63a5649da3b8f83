"""Variables and labels of the user: as they were given, or refused with a reason."""

import re

import pytest

from onnxpack.errors import UsageError
from onnxpack.image.additions import ENVIRONMENT, LABELS, Additions, read_pairs


@pytest.mark.parametrize("value", ["", "a b", "a=b", "$HOME \\ \" '", "\tü", "x" * 10_000])
def test_any_line_of_text_is_a_value(value):
    found = read_pairs("--env", [f"NAME={value}"])
    assert found == {"NAME": value}
    assert Additions(env=found, labels={"my.label": value}).env == {"NAME": value}


@pytest.mark.parametrize("value", ["a\nB=1", "a\r", "\0", "\x1b[2J", "a\u2028b", "\udcff"])
def test_a_value_that_is_more_than_a_line_is_refused(value):
    for given in ({"env": {"NAME": value}}, {"labels": {"name": value}}):
        with pytest.raises(UsageError, match="expected one line of text"):
            Additions(**given)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "Ä", "A\n"])
def test_a_name_that_no_variable_has_is_refused(name):
    with pytest.raises(UsageError, match=r"^--env .* is not a valid name: expected letters"):
        Additions(env={name: "x"})


@pytest.mark.parametrize("name", ["", ".a", "a.", "a b", 'a"b', "ä", "a\n", "a$b"])
def test_a_name_that_no_label_has_is_refused(name):
    with pytest.raises(UsageError, match=r"^--label .* is not a valid name: expected letters"):
        Additions(labels={name: "x"})


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_variable_that_the_server_needs_is_refused(name):
    with pytest.raises(UsageError, match=f"^--env {name} is refused: .* so that the image starts"):
        Additions(env={name: "x"})


@pytest.mark.parametrize("name", [*LABELS, "onnxpack.pack.digest", "onnxpack.anything"])
def test_a_label_that_states_the_content_is_refused(name):
    with pytest.raises(UsageError, match=f"^--label {re.escape(name)} is refused: .* what is in"):
        Additions(labels={name: "x"})


def test_every_label_that_onnxpack_sets_is_one_of_them(built):
    own = built.content.settings["config"]["Labels"]
    assert all(name in LABELS or name.startswith("onnxpack.") for name in own)


def test_what_is_no_pair_is_refused():
    with pytest.raises(UsageError, match=r"^--label 'team' is not NAME=VALUE\.$"):
        read_pairs("--label", ["team"])
    with pytest.raises(UsageError, match=r"^--env A is given twice: '1' and '2'\.$"):
        read_pairs("--env", ["A=1", "B=1", "A=2"])
