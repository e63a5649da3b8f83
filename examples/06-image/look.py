"""What is in an image: ``python look.py lite0.tar``."""

import sys
import tarfile
from collections import Counter
from pathlib import Path

from onnxpack.oci.layer.compress import decompressed
from onnxpack.oci.media import compression_of
from onnxpack.oci.store.read import read_image
from onnxpack.oci.store.validate import validate

image = read_image(Path(sys.argv[1]))
faults = validate(image)
print(len(faults), "faults")
config = image.settings["config"]
print(f"user {config['User']}, port {', '.join(config['ExposedPorts'])}")

files = []
for layer in image.layers:
    with layer.open() as packed:
        plain = decompressed(packed, compression_of(layer.descriptor.media_type))
        with tarfile.open(fileobj=plain, mode="r|") as members:
            files += [each.name for each in members if each.isfile()]
count = Counter(name.partition("/")[0] for name in files)
print("files:", ", ".join(f"{count[folder]} in {folder}" for folder in ("usr", "opt", "model")))
shells = [name for name in files if Path(name).name in ("sh", "bash", "dash", "busybox")]
print("shells:", ", ".join(shells) or "none")
