"""Several processes on one port: ready together, ended together, and none left behind."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest


def workers_of(served):
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [
        int(pid)
        for pid in children.read_text().split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def gone(pid):
    """Whether a process has ended, waiting for it."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(descriptor) as process:
        import select

        return bool(select.select([process], [], [], 60)[0])


@pytest.fixture
def two(packs, serve):
    with serve(packs / "mlp", "--workers", 2, "--access-log") as served:
        yield served


def test_both_are_ready_and_both_answer(two, infer, packs, truth):
    assert len(workers_of(two)) == 2
    x = np.ones((1, 64), np.float32)
    wanted = truth(packs / "mlp", input=x)["output"]
    busy = set()
    while len(busy) < 2:  # the system chooses who answers
        np.testing.assert_allclose(infer(two, "mlp", input=x), wanted, rtol=1e-3, atol=1e-5)
        counted = two.ask("GET", "/metrics")[2].decode().splitlines()
        if any(line.startswith("onnxpack_requests_total{") for line in counted):
            busy |= {pid for pid in workers_of(two) if seconds_of(pid) > 0}


def seconds_of(pid):
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_of_them(two, number):
    pids = workers_of(two)
    two.process.send_signal(number)
    assert two.process.wait(60) == 0
    assert all(gone(pid) for pid in pids)


def test_ctrl_c_in_a_terminal_reaches_each_once(two):
    """A terminal sends it to the whole group of processes."""
    pids = workers_of(two)
    groups = {os.getpgid(pid) for pid in pids}
    assert len(groups) == 2
    assert os.getpgid(two.process.pid) not in groups


def test_one_that_dies_ends_the_others_with_an_error(two):
    pids = workers_of(two)
    os.kill(pids[0], signal.SIGKILL)
    assert two.process.wait(60) == 1
    assert all(gone(pid) for pid in pids)
    told = two.process.stderr.read()
    assert told.startswith(f"error: worker process {pids[0]} ended unexpectedly (signal 9: Killed)")
    assert "--workers 1" in told
    assert "Traceback" not in told


def test_none_outlives_its_parent(two):
    pids = workers_of(two)
    two.process.kill()
    assert all(gone(pid) for pid in pids)


def test_what_keeps_a_worker_from_serving_is_told(packs, onnxpack_serve):
    done = onnxpack_serve(packs / "mlp", "--workers", 2, "--provider", "cuda")
    assert done.returncode == 3
    assert "cuda" in done.stderr.lower()
    assert "Traceback" not in done.stderr
