"""Run the command line: ``python -m onnxpack``."""

from onnxpack.cli.main import main

if __name__ == "__main__":
    main()
