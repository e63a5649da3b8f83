"""Takes docs/images/serve-page.png: the server's page after it named what is in a picture.

``python docs/make_page_screenshot.py`` exports the model of examples/03-real-weights, serves it,
and drives Chromium, which must be installed with its driver. ``--dark`` and ``--narrow`` show the
page otherwise; ``--to`` names another file.
"""

from __future__ import annotations

import argparse
import base64
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "03-real-weights" / "lite0.py"
PICTURE = HERE / "images" / "serve-page.png"
SERVE = """
import onnxpack
settings = onnxpack.Settings(port=0)
onnxpack.serve("lite0", settings, announce=lambda address: print(address, flush=True))
"""
CALLS = 60
MOBILE = 390
DESKTOP = 1180


def main() -> None:
    """Export, serve, try, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--docs", action="store_true", help="the page of the API")
    parser.add_argument("--to", type=Path, default=PICTURE)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, EXAMPLE], cwd=folder, check=True)
        with served(folder) as address, browser(Path(folder) / "profile") as driver:
            scheme = {"name": "prefers-color-scheme", "value": "dark" if given.dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            resize(driver, MOBILE if given.narrow else DESKTOP, 900)
            if given.docs:
                show_docs(driver, address)
            else:
                try_picture(driver, address, Path(folder) / "chelsea.png")
            given.to.write_bytes(shot(driver))


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of a server of the pack, with some calls behind it."""
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        address = next(iter(process.stdout or ()), "").strip()
        picture = (Path(folder) / "chelsea.png").read_bytes()
        for _ in range(CALLS):
            url = f"{address}/v2/models/lite0/predict"
            with urlopen(Request(url, picture, {"Content-Type": "image/png"})) as answer:  # noqa: S310
                answer.read()
        yield address
        process.terminate()


@contextmanager
def browser(profile: Path) -> Iterator[Chrome]:
    """A Chromium that shows nothing and asks no one."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    switches = (
        "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-dev-shm-usage "
        "disable-background-networking disable-component-update disable-sync hide-scrollbars"
    )
    for switch in (*switches.split(), f"user-data-dir={profile}"):
        options.add_argument(f"--{switch}")
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield driver
    finally:
        driver.quit()


def resize(driver: Chrome, width: int, height: int) -> None:
    """Set the size of the page in CSS pixels."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def try_picture(driver: Chrome, address: str, picture: Path) -> None:
    """Let the page name what is in a picture."""
    driver.get(address)
    wait = WebDriverWait(driver, 30)
    field = wait.until(lambda d: d.find_element(By.CSS_SELECTOR, ".try input[type=file]"))
    field.send_keys(str(picture))
    driver.find_element(By.CSS_SELECTOR, ".try .primary").click()
    wait.until(lambda d: d.find_elements(By.CSS_SELECTOR, ".bars li"))


def show_docs(driver: Chrome, address: str) -> None:
    """Open the reference of the API."""
    driver.get(f"{address}/docs")
    WebDriverWait(driver, 30).until(lambda d: d.find_elements(By.CSS_SELECTOR, ".curl"))


def shot(driver: Chrome) -> bytes:
    """The whole page as PNG."""
    height = driver.execute_script("return document.body.offsetHeight")
    size = driver.execute_script("return [innerWidth]")[0]
    resize(driver, size, height)
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    main()
