"""The queue: what is there runs together, everyone gets his own rows, nobody loses an answer."""

import asyncio
import threading

import numpy as np
import pytest

from onnxpack.server.errors import RequestError
from onnxpack.server.models.batcher import Batcher
from onnxpack.server.models.stats import Stats


def feeds(value, rows=1, width=2):
    return {"x": np.full((rows, width), value, np.float32)}


class Session:
    """Doubles its input when it is let; remembers how many rows ran together."""

    def __init__(self):
        self.gate = threading.Event()
        self.batches = []

    def __call__(self, inputs):
        assert self.gate.wait(30)
        self.batches.append(inputs["x"].shape)
        if np.isnan(inputs["x"]).any():
            raise ValueError("poisoned")
        return {"y": inputs["x"] * 2}


def batcher(session, **changed):
    settings = {"max_rows": 8, "max_queue": 100, "timeout": 30.0} | changed
    return Batcher([session], stats=Stats(), **settings)


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_what_waits_runs_together_and_each_gets_its_own_rows():
    async def go():
        session = Session()
        queue = batcher(session)
        asked = [
            asyncio.ensure_future(queue.submit(feeds(i, rows=1 + i % 3), 1 + i % 3))
            for i in range(10)
        ]
        await settle()
        session.gate.set()
        answers = await asyncio.gather(*asked)
        for i, answer in enumerate(answers):
            np.testing.assert_array_equal(answer["y"], feeds(2 * i, rows=1 + i % 3)["x"])
        assert session.batches[0] == (1, 2)
        assert max(rows for rows, _ in session.batches) == 8
        assert len(session.batches) < 10

    asyncio.run(go())


def test_other_shapes_do_not_run_together_and_keep_their_turn():
    async def go():
        session = Session()
        queue = batcher(session)
        widths = [2, 3, 2, 3, 3, 2]
        asked = [
            asyncio.ensure_future(queue.submit(feeds(i, width=w), 1)) for i, w in enumerate(widths)
        ]
        await settle()
        session.gate.set()
        answers = await asyncio.gather(*asked)
        assert [answer["y"].shape[1] for answer in answers] == widths
        assert session.batches == [(1, 2), (3, 3), (2, 2)]

    asyncio.run(go())


def test_one_that_fails_costs_no_other_its_answer():
    async def go():
        session = Session()
        queue = batcher(session)
        values = [0.0, 1.0, np.nan, 3.0]
        asked = [asyncio.ensure_future(queue.submit(feeds(v), 1)) for v in values]
        await settle()
        session.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers[2], ValueError)
        assert [float(answers[i]["y"][0, 0]) for i in (0, 1, 3)] == [0, 2, 6]

    asyncio.run(go())


def test_one_that_leaves_costs_no_other_its_answer():
    async def go():
        session = Session()
        queue = batcher(session)
        asked = [asyncio.ensure_future(queue.submit(feeds(i), 1)) for i in range(5)]
        await settle()
        asked[0].cancel()
        asked[2].cancel()
        await settle()
        session.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [float(answers[i]["y"][0, 0]) for i in (1, 3, 4)] == [2, 6, 8]
        assert sum(rows for rows, _ in session.batches) == 4

    asyncio.run(go())


def test_a_full_queue_says_when_to_come_back():
    async def go():
        session = Session()
        queue = batcher(session, max_queue=2)
        asked = [asyncio.ensure_future(queue.submit(feeds(i), 1)) for i in range(3)]
        await settle()
        with pytest.raises(RequestError) as refused:
            await queue.submit(feeds(9), 1)
        assert (refused.value.status, refused.value.retry_after) == (429, 1)
        session.gate.set()
        await asyncio.gather(*asked)

    asyncio.run(go())


def test_one_that_waits_too_long_is_given_up():
    async def go():
        session = Session()
        queue = batcher(session, timeout=0.05)
        with pytest.raises(RequestError) as refused:
            await queue.submit(feeds(1), 1)
        assert refused.value.status == 504
        session.gate.set()

    asyncio.run(go())
