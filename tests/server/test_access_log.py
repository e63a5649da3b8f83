"""What a client sends does not control the terminal that shows the log."""

import json
import logging

import pytest

from onnxpack.server.access_log import log_access


@pytest.mark.parametrize("sign", ["\x9b2J", "\x1b[2J", "\u202e", "\u2028", "\n", "\u200b"])
def test_signs_of_a_client_are_shown_not_sent(sign, caplog):
    with caplog.at_level(logging.INFO, logger="onnxpack.access"):
        request_id = sign.encode("latin-1", errors="replace")
        log_access("GET", f"/v2/{sign}x", 404, 0.1, request_id)
    (line,) = caplog.messages
    assert line.isprintable()
    assert json.loads(line)["path"] == f"/v2/{sign}x"
