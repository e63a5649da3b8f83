"""Programs that a build runs: they end with it, and their signals do not reach the caller."""

import os
import signal
import subprocess
import sys

import pytest

from onnxpack.image.child import run_child

# Each process of the group holds the pipe open, so its end says that all of them ended.
WAITING = "echo begins >&3; (trap '' HUP; sleep 1000) & sleep 1000"
PARENT = f"""
import os, signal, sys
from onnxpack.image.child import run_child
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
handle = os.open(sys.argv[1], os.O_WRONLY)
os.set_inheritable(handle, True)
os.dup2(handle, 3)
run_child(["sh", "-c", {WAITING!r}], keep_open=3)
"""


def test_its_exit_code_and_output():
    done = run_child(
        ["sh", "-c", "cat; echo error $WORD >&2; exit 3"], given="text", environment={"WORD": "x"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "text", "error x\n")
    assert run_child(["sh", "-c", "kill -SEGV $$"]).returncode == 128 + signal.SIGSEGV
    assert run_child(["cat"]).stdout == ""


def test_what_it_sends_to_its_group_reaches_no_other():
    """mmdebstrap sends SIGHUP to its process group if it cannot write."""
    done = run_child(["sh", "-c", "trap '' HUP; kill -HUP 0; echo alive"])
    assert (done.returncode, done.stdout) == (0, "alive\n")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_wants_it(tmp_path, sent):
    os.mkfifo(tmp_path / "pipe")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path / "pipe"], stderr=subprocess.DEVNULL
    )
    with (tmp_path / "pipe").open() as pipe:
        assert pipe.readline() == "begins\n"
        parent.send_signal(sent)
        assert pipe.read() == ""  # waits until no process of the group is left
    assert parent.wait() != 0
