"""``python -m onnxpack``: the command line."""

from onnxpack.cli.main import main

if __name__ == "__main__":
    main()
