"""Counters of several workers add up, and outlive the worker that counted."""

from onnxpack.server.models.counters import SharedCounters


def test_workers_add_up_and_one_that_is_replaced_goes_on():
    memory = bytearray(8 * SharedCounters.size(2, 2))
    first, second = (SharedCounters(2, workers=2, own=own, memory=memory) for own in (0, 1))
    ours, theirs, other = first.of(0), second.of(0), second.of(1)
    ours.own.answered(0.2)
    ours.own.refused(503)
    ours.own.in_flight += 3
    theirs.own.answered(20)
    theirs.own.ran(5, 0.1)
    theirs.own.queued([0.5, 0.25])
    theirs.own.waiting = 4
    total = ours.total()
    assert (total.succeeded, total.rows, total.failed) == (2, 5, {503: 1})
    assert (total.in_flight, total.waiting) == (3, 4)
    assert (total.request_seconds.sum, total.queue_seconds.sum) == (20.2, 0.75)
    assert sum(total.request_seconds.counts) == 2
    assert (other.total().succeeded, other.total().rows) == (0, 0)
    assert theirs.own.succeeded == 1

    first.restarts += 1
    again = SharedCounters(2, workers=2, own=0, memory=memory)
    counters = again.of(0)
    assert (again.restarts, counters.own.succeeded, counters.own.in_flight) == (1, 1, 0)
    assert counters.total().succeeded == 2


def test_a_server_of_one_process_shares_with_nobody():
    counters = SharedCounters(1).of(0)
    counters.own.answered(0.1)
    assert counters.total().succeeded == 1
