"""A child process has limits, and says how it ended."""

import os
import select
import subprocess
import sys

import pytest

from onnxpack.child import Ended, Kind, run_limited

GIB = 2**30


def run(program, *arguments, seconds=60, memory=GIB, **options):
    return run_limited(program, arguments, seconds=seconds, memory=memory, **options)


def test_what_a_child_prints_is_its_answer():
    assert run("print(*sys.argv[1:])", "one", "two") == Ended(Kind.DONE, "one two\n")


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        ("bytearray(2**31)", Kind.MEMORY, "MemoryError"),
        ("import numpy; numpy.ones(2**28)", Kind.MEMORY, "Unable to allocate"),
        ("raise ValueError('one\\ntwo')", Kind.REFUSED, "one"),
        ("raise ValueError", Kind.REFUSED, "<class 'ValueError'>"),
        ("import os; os.abort()", Kind.SIGNAL, "SIGABRT"),
        ("import signal, os; os.kill(os.getpid(), signal.SIGKILL)", Kind.SIGNAL, "SIGKILL"),
    ],
)
def test_how_a_child_ends(program, kind, said):
    ended = run(program)
    assert ended.kind is kind
    assert said in ended.said


def test_a_child_that_never_ends_is_ended():
    assert run("while True: pass", seconds=1).kind is Kind.TIME


def test_a_child_that_takes_a_processor_for_too_long_is_ended():
    assert run("while True: pass", processor=1).kind is Kind.TIME


def test_a_child_reads_what_is_open():
    copy = os.memfd_create("given")
    os.write(copy, b"content")
    try:
        ended = run(f"print(open('/proc/self/fd/{copy}').read())", descriptors=[copy])
    finally:
        os.close(copy)
    assert ended == Ended(Kind.DONE, "content\n")


def test_a_child_imports_from_where_its_parent_does(tmp_path, monkeypatch):
    (tmp_path / "found_here.py").write_text("VALUE = 7")
    monkeypatch.syspath_prepend(tmp_path)
    assert run("import found_here; print(found_here.VALUE)").said == "7\n"


def test_a_child_imports_nothing_from_the_current_folder(tmp_path, monkeypatch):
    """It may hold what a stranger wrote."""
    for name in ("resource", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert run("import json, numpy; print(json.dumps(1))").said == "1\n"


def test_a_child_ends_with_its_parent(tmp_path):
    """Also the child of a child that is ended because it takes too long."""
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    program = f"open({str(alive)!r}, 'w').write(str(os.getpid())); signal.pause()"
    for _ in range(2):
        program = (
            "from onnxpack.child import run_limited; "
            f"run_limited({program!r}, [], seconds=60, memory=2**30)"
        )
    parent = subprocess.Popen([sys.executable, "-c", program])
    pid = int(alive.read_text())
    held = os.pidfd_open(pid)
    parent.kill()
    parent.wait()
    # A descriptor of a process can be read when it has ended.
    ended, _, _ = select.select([held], [], [], 60)
    os.close(held)
    assert ended


def test_a_child_leaves_no_core():
    """A pack of a stranger could fill the disk with them."""
    program = "print(resource.getrlimit(resource.RLIMIT_CORE))"
    assert run(program).said.startswith("(0,")
