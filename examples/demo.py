"""The main job, end to end: a trained model becomes a proven pack, and the pack answers.

python examples/demo.py     # or: make demo

It writes into ./demo/ and may be run again and again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import onnxpack

sys.path.insert(0, str(Path(__file__).parent / "01-digits"))
import digits  # the model: examples/01-digits/digits.py

FOLDER = Path("demo")
PROGRAM = Path(sys.executable).with_name("onnxpack")
SHADES = " ░▒▓█"

console = Console(highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """A model that is trained here, from Python; then one of torchvision's, from the shell."""
    FOLDER.mkdir(exist_ok=True)
    begun = time.perf_counter()

    heading("1. Train a model: handwritten digits, in Lightning")
    training, held_out = digits.load()
    started = time.perf_counter()
    model, _ = digits.train(training)
    spent = time.perf_counter() - started
    say(f"{len(training.digits):,} pictures of 8 × 8 pixels, {spent:.1f} s; ", end="")
    say(f"{len(held_out.digits)} more are held out")

    heading("2. Export it")
    started = time.perf_counter()
    code('pack = onnxpack.export(model, to="demo/digits", labels=digits.LABELS)')
    pack = onnxpack.export(
        model,  # it brings its own sample: example_input_array
        to=FOLDER / "digits",
        labels=digits.LABELS,
        description="Handwritten digits, trained by the demo",
        force=True,  # replace the pack of the last time
        progress=lambda phase: say(f"  … {phase}"),
    )
    say(f"{len(pack.manifest.parity.cases)} cases compared with Lightning's own answers, ", end="")
    say("all of them equal")
    exported = time.perf_counter() - started

    heading("3. Check it: every digest, and its answers on this machine")
    shell("onnxpack", "check", "digits")

    heading("4. Inspect it: what goes in, what comes out, what was proven")
    shell("onnxpack", "inspect", "digits")

    heading("5. Run it on the held-out pictures, beside PyTorch")
    code("scores = onnxpack.Model(pack)(held_out.pictures)")
    scores = onnxpack.Model(pack)(held_out.pictures)
    with torch.no_grad():
        wanted = model(torch.from_numpy(held_out.pictures)).numpy()
    compare(wanted, scores, held_out.digits)
    draw(held_out.pictures[:4, 0], scores[:4].argmax(1))

    heading("6. The same for a model of torchvision, from the shell")
    shell(
        *("onnxpack", "export", "torchvision:resnet18", "--sample", "1x3x224x224"),
        *("-o", "resnet18", "--force"),
    )
    shell("onnxpack", "check", "resnet18")
    shell("onnxpack", "inspect", "resnet18")
    shell("onnxpack", "run", "resnet18", "--input", "random")

    heading("In short")
    summarize(pack, wanted, scores, held_out.digits)
    say(f"seconds     {spent:.1f} to train, {exported:.1f} to export and prove; ", end="")
    say(f"{time.perf_counter() - begun:.0f} for the whole demo")

    heading("What to type next")
    name = "onnxpack" if shutil.which("onnxpack") == str(PROGRAM) else os.path.relpath(PROGRAM)
    say(f"{name} view demo/digits      # the graph, in a browser")
    say(f"{name} providers             # where it can run on this machine")
    say(f"{name} export --help         # your own model")


def compare(wanted: np.ndarray, scores: np.ndarray, digits_shown: np.ndarray) -> None:
    """Print how good both are, and how far apart."""
    theirs, ours = wanted.argmax(1), scores.argmax(1)
    agree = int((theirs == ours).sum())
    say("            PyTorch   the pack")
    say(
        f"accuracy    {(theirs == digits_shown).mean():7.2%}   {(ours == digits_shown).mean():8.2%}"
    )
    say(f"the same digit for {agree} of {len(ours)} pictures; ", end="")
    say(f"scores go up to {np.abs(wanted).max():.3g}, ", end="")
    say(f"and the largest difference is {np.abs(wanted - scores).max():.2g}")


def summarize(
    pack: onnxpack.Pack, wanted: np.ndarray, scores: np.ndarray, digits_shown: np.ndarray
) -> None:
    """Print the accuracy of both models, and the sizes of both packs."""
    theirs, ours = ((each.argmax(1) == digits_shown).mean() for each in (wanted, scores))
    say(f"accuracy    PyTorch {theirs:.2%}, the pack {ours:.2%}")
    resnet = onnxpack.open_pack(FOLDER / "resnet18")
    say(f"size        digits {pack.size / 1e3:.0f} kB, resnet18 {resnet.size / 1e6:.1f} MB")


def draw(pictures: np.ndarray, answers: np.ndarray) -> None:
    """Draw pictures side by side, with what the pack says that each one shows."""
    say()
    for row in range(8):
        lines = (SHADES[round(4 * float(pixel))] * 2 for p in pictures for pixel in [*p[row], 0])
        say("".join(lines).rstrip())
    say("".join(f"{digits.LABELS[answer]:^16}  " for answer in answers).rstrip())


def heading(text: str) -> None:
    """Print a heading."""
    console.print(f"\n{text}", style="bold cyan")


def code(line: str) -> None:
    """Print a line of Python that is about to run."""
    console.print(f">>> {line}", style="bold")


def say(text: str = "", end: str = "\n") -> None:
    """Print a line."""
    console.print(text, end=end)


def shell(*command: str) -> None:
    """Print a command, and run it in the demo's folder."""
    console.print(f"$ {shlex.join(command)}", style="bold")
    sys.stdout.flush()
    subprocess.run([PROGRAM, *command[1:]], cwd=FOLDER, check=True)


if __name__ == "__main__":
    main()
