"""Run the command line: ``python -m onnxpack``."""

import sys

from onnxpack.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
