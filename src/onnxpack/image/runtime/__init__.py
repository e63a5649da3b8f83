"""The runtime layer of an image: pruned wheels for serving, onnxpack itself, and byte code."""
