"""Runs blocks of Python in one namespace: a JSON line in, a JSON line with what it printed out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what compiled code prints is no answer
    sys.path[0] = ""
    namespace = {"__name__": "__main__"}
    for line in sys.stdin:
        block = json.loads(line)
        printed = io.StringIO()
        failed = False
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                exec(compile(block["code"], block["where"], "exec"), namespace)
            except BaseException:  # noqa: BLE001 - a block may do anything
                traceback.print_exc()
                failed = True
        print(json.dumps({"printed": printed.getvalue(), "failed": failed}), file=answers)
        answers.flush()


if __name__ == "__main__":
    main()
