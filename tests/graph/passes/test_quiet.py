"""This thread is hidden, others are heard, and everything is put back."""

from __future__ import annotations

import builtins
import logging
import threading
import warnings

from onnxpack.graph.passes.quiet import quiet


def chatter(name: str) -> None:
    print("print of", name)
    logging.getLogger("chatter").error("log of %s", name)


def test_only_this_thread_is_hidden(capsys, caplog):
    with quiet():
        chatter("this")
        warnings.warn("hidden", stacklevel=1)
        other = threading.Thread(target=chatter, args=["other"])
        other.start()
        other.join()
    assert capsys.readouterr().out == "print of other\n"
    assert caplog.messages == ["log of other"]


def test_everything_is_put_back():
    before = (builtins.print, logging.Logger.callHandlers, list(warnings.filters))
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with quiet():
        root.addHandler(logging.NullHandler())
        root.setLevel(1)
    assert (builtins.print, logging.Logger.callHandlers, list(warnings.filters)) == before
    assert (root.handlers, root.level) == (handlers, level)
