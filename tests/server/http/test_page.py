"""The page in a real Chromium, against a real server process."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper
from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait
from skimage import data
from torch import nn

import onnxpack
from onnxpack.pack.model import Pack
from onnxpack.runtime.picture import read_picture

HERE = Path(__file__).parent
MARKUP = "<img src=x onerror=\"window.hacked='%s'\">"
MLP_LABELS = ("calm", MARKUP % "label", "storm")
PICTURE_LABELS = tuple(f"kind {i}" for i in range(10))
KEY = "correct-horse"
DTYPES = {
    "str" if each == "O" else np.dtype(each).name: helper.np_dtype_to_tensor_dtype(np.dtype(each))
    for each in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "O"]
}
SWITCHES = (
    "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-dev-shm-usage "
    "disable-background-networking disable-component-update disable-sync window-size=1200,1000"
)


@dataclass(frozen=True)
class Packs:
    mlp: Pack
    picture: Pack
    tokens: Pack

    @property
    def paths(self) -> list[Path]:
        return [self.mlp.path, self.picture.path, self.tokens.path]


class Tokens(nn.Module):
    """Two inputs of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return (self.words(ids) * mask.unsqueeze(-1).float()).sum(1)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Packs:
    folder = tmp_path_factory.mktemp("packs")
    torch.manual_seed(0)
    mlp = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    picture = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )
    preprocess = onnxpack.Preprocess(resize=32, crop=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
    ids = torch.zeros(2, 6, dtype=torch.int64)
    return Packs(
        onnxpack.export(
            mlp.eval(),
            torch.rand(2, 4),
            folder / "weather",
            labels=MLP_LABELS,
            description=f"The weather {MARKUP % 'description'}",
        ),
        onnxpack.export(
            picture.eval(),
            torch.rand(1, 3, 32, 32),
            folder / "picture",
            labels=PICTURE_LABELS,
            preprocess=preprocess,
        ),
        onnxpack.export(
            Tokens().eval(),
            {"ids": ids, "mask": torch.ones_like(ids)},
            folder / "tokens",
            dynamic={"ids": {1: "tokens"}, "mask": {1: "tokens"}},
        ),
    )


@contextmanager
def served(*arguments: str | Path) -> Iterator[str]:
    """The address of a server of these packs."""
    command = [sys.executable, HERE / "page_server.py", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture(scope="module")
def address(packs: Packs) -> Iterator[str]:
    with served(*packs.paths) as found:
        yield found


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for switch in (*SWITCHES.split(), f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{switch}")
    found = Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield found
    finally:
        found.quit()


@dataclass(frozen=True)
class Page:
    """The page, as a person finds their way on it."""

    driver: Chrome

    def open(self, url: str) -> Page:
        self.driver.get(url)
        return self

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def card(self, name: str) -> WebElement:
        def found() -> WebElement | None:
            cards = self.all("article.card")
            return next((card for card in cards if part(card, "h2").text == name), None)

        return self.until(found)

    def answer(self, card: WebElement, button: str = ".primary") -> WebElement:
        """Press Send, and wait for the answer."""
        part(card, ".try " + button).click()
        return self.settled(card)

    def settled(self, card: WebElement) -> WebElement:
        self.until(lambda: part(card, ".try").get_attribute("aria-busy") == "false")
        return part(card, ".answer")

    @property
    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture
def page(driver: Chrome) -> Iterator[Page]:
    driver.get("about:blank")
    driver.get_log("browser")
    yield Page(driver)
    assert driver.execute_script("return window.hacked ?? null") is None


def part(within: WebElement, selector: str) -> WebElement:
    return within.find_element(By.CSS_SELECTOR, selector)


def parts(within: WebElement, selector: str) -> list[str]:
    """The texts, of what is folded away too."""
    found = within.find_elements(By.CSS_SELECTOR, selector)
    return [each.get_attribute("textContent") or "" for each in found]


def write(area: WebElement, text: str) -> None:
    area.clear()
    area.send_keys(text)


def run(pack: Pack, **feeds: Any) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def outputs(answer: WebElement) -> np.ndarray:
    return np.array(json.loads(parts(answer, "pre")[0]))


def softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row.astype(np.float64) - row.max())
    return powers / powers.sum()


def test_a_card_tells_what_is_known_of_a_model(page, address, packs):
    card = page.open(address).card("weather")
    assert parts(card, ".signature tbody tr:first-child > *") == [
        "in",
        packs.mlp.manifest.signature.inputs[0].name,
        "float32[batch, 4]",
    ]
    assert len(parts(card, ".signature tbody tr")) == 2
    badge = part(card, ".badge")
    assert badge.text == "unchanged, proven here"
    assert "replayed" in badge.get_attribute("title")
    facts = dict(zip(parts(card, ".facts dt"), parts(card, ".facts dd"), strict=True))
    assert facts["Provider"] == "cpu"
    assert re.fullmatch(r"\d+ nodes? on cpu", facts["Placement"])
    assert re.fullmatch(r"\d+ in one session", facts["Threads"])
    assert facts["Batching"] == "requests run together"
    assert facts["Made from"].startswith("torch ")
    assert packs.mlp.digest.startswith(facts["Digest"].removesuffix("…"))
    assert part(card, ".digest").get_attribute("title") == packs.mlp.digest
    assert page.complaints == []


def test_the_evidence_is_unfolded_by_the_keyboard(page, address, packs):
    card = page.open(address).card("weather")
    cases = packs.mlp.manifest.parity.cases
    summary = part(card, ".evidence summary")
    assert summary.text.startswith(f"Evidence: {len(cases)} of {len(cases)} cases passed")
    assert not part(card, ".evidence table").is_displayed()
    summary.send_keys(Keys.ENTER)
    page.until(part(card, ".evidence table").is_displayed)
    assert parts(card, ".evidence tbody td:first-child") == [case.name for case in cases]
    sizes = [", ".join(f"{name} {size}" for name, size in case.dims.items()) for case in cases]
    assert parts(card, ".evidence tbody td:nth-child(2)") == sizes
    assert set(parts(card, ".evidence tbody td:last-child")) == {"passed"}


def test_the_example_is_valid_and_answered_as_by_onnxruntime(page, address, packs):
    card = page.open(address).card("weather")
    text = part(card, "textarea").get_attribute("value")
    assert json.loads(text) == [[0, 0, 0, 0]]
    answer = page.answer(card)
    (wanted,) = run(
        packs.mlp, **{packs.mlp.manifest.signature.inputs[0].name: np.zeros((1, 4), "f4")}
    )
    np.testing.assert_allclose(outputs(answer), wanted, rtol=1e-6)
    assert "Answered in" in answer.text
    assert page.complaints == []


def test_labels_have_bars_of_their_probability(page, address, packs):
    card = page.open(address).card("weather")
    rows = [[1, 2, 3, 4], [-1, 0.5, 0, 2]]
    write(part(card, "textarea"), json.dumps(rows))
    answer = page.answer(card)
    (wanted,) = run(
        packs.mlp, **{packs.mlp.manifest.signature.inputs[0].name: np.array(rows, "f4")}
    )
    lists = answer.find_elements(By.CSS_SELECTOR, ".bars")
    assert len(lists) == len(rows)
    for shown, row in zip(lists, wanted, strict=True):
        shares = softmax(row)
        order = np.argsort(-row)
        assert parts(shown, ".label") == [MLP_LABELS[i] for i in order]
        assert parts(shown, ".value") == [f"{shares[i] * 100:.1f} %" for i in order]
        full, best = (part(shown, each).size["width"] for each in (".track", ".fill"))
        assert abs(best / full - shares[order[0]]) < 0.02


def test_markup_in_labels_and_descriptions_stays_text(page, address):
    card = page.open(address).card("weather")
    assert part(card, ".description").text == f"The weather {MARKUP % 'description'}"
    answer = page.answer(card)
    assert MLP_LABELS[1] in parts(answer, ".label")
    for each in (part(card, ".description"), part(answer, ".label")):
        assert each.value_of_css_property("unicode-bidi") == "isolate"  # reverses only itself
    assert card.find_elements(By.CSS_SELECTOR, "img[src]") == []
    assert page.complaints == []


def test_random_numbers_are_written_and_sent(page, address, packs):
    card = page.open(address).card("weather")
    part(card, "[data-slot=random]").click()
    given = np.array(json.loads(part(card, "textarea").get_attribute("value")), "f4")
    assert given.shape == (1, 4)
    assert given.any()
    (wanted,) = run(packs.mlp, **{packs.mlp.manifest.signature.inputs[0].name: given})
    np.testing.assert_allclose(outputs(page.answer(card)), wanted, rtol=1e-5)


@pytest.mark.parametrize("button", ["zeros", "random"])
def test_a_large_input_is_made_as_a_file(page, address, packs, button):
    card = page.open(address).card("picture")
    part(card, f"[data-slot={button}]").click()
    assert not part(card, "textarea").is_displayed()
    told = part(card, ".attached span").text
    assert told == f"{button.capitalize()}: float32[1, 3, 32, 32] · 13 KiB"
    shown = outputs(page.answer(card))
    assert shown.shape == (1, 10)
    if button == "zeros":
        name = packs.picture.manifest.signature.inputs[0].name
        (wanted,) = run(packs.picture, **{name: np.zeros((1, 3, 32, 32), "f4")})
        np.testing.assert_allclose(shown, wanted, rtol=1e-5)
    assert page.complaints == []


def test_a_model_of_several_inputs_gets_them_all(page, address, packs):
    card = page.open(address).card("tokens")
    given = json.loads(part(card, "textarea").get_attribute("value"))
    sizes = packs.tokens.manifest.parity.cases[0].dims["tokens"]
    assert given == {"ids": [[0] * sizes], "mask": [[0] * sizes]}
    write(part(card, "textarea"), '{"ids": [[3, 1, 4]], "mask": [[1, 0, 1]]}')
    answer = page.answer(card)
    ids, mask = (np.array([row], "i8") for row in ([3, 1, 4], [1, 0, 1]))
    (wanted,) = run(packs.tokens, ids=ids, mask=mask)
    np.testing.assert_allclose(outputs(answer), wanted, rtol=1e-5)
    assert answer.find_elements(By.CSS_SELECTOR, ".bars") == []


@pytest.fixture(scope="module")
def echoes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of models that give back what they get, of each dtype."""
    folder = tmp_path_factory.mktemp("echoes")
    for dtype, kind in DTYPES.items():
        for size in (4, 1500):
            node = helper.make_node("Identity", ["x"], ["y"])
            ends = (helper.make_tensor_value_info(name, kind, ["batch", size]) for name in "xy")
            graph = helper.make_graph([node], "echo", *([end] for end in ends))
            model = helper.make_model(
                graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
            )
            (folder / f"{dtype}-{size}.onnx").write_bytes(model.SerializeToString())
    with served(*sorted(folder.iterdir())) as found:
        yield found


def test_every_dtype_can_be_tried(page, echoes):
    page.open(echoes).card("uint8-4")
    for dtype in DTYPES:
        small, large = (page.card(f"{dtype}-{size}") for size in (4, 1500))
        for card in (small, large):
            part(card, "summary").click()
        for button in ("[data-slot=zeros]", "[data-slot=random]"):
            for card in (small, large):
                part(card, button).click()
                shape = [1, 4 if card is small else 1500]
                assert parts(page.answer(card), "figcaption code") == [f"{dtype}{shape}"]
        if dtype != "float16":
            given = json.loads(part(small, "textarea").get_attribute("value"))
            assert outputs(part(small, ".answer")).tolist() == given
        assert parts(large, ".answer pre")[0].endswith(", …]]")
    assert page.complaints == []


def test_many_models_are_sorted_folded_and_found_by_a_filter(page, echoes):
    page.open(echoes).card("bool-4")
    index = page.all("#index")[0]
    names = [each.text for each in page.all("#index a")]
    assert names == [each.text for each in page.all(".card h2")]
    assert len(names) == 2 * len(DTYPES)
    assert names[:4] == ["bool-4", "bool-1500", "float16-4", "float16-1500"]
    assert not any(each.is_displayed() for each in page.all(".try"))
    write(part(index, "input"), "UINT8")
    assert [each.text for each in page.all("#index a")] == ["uint8-4", "uint8-1500"]
    assert [each.text for each in page.all(".card h2") if each.is_displayed()] == [
        "uint8-4", "uint8-1500",
    ]  # fmt: skip
    part(index, "a").click()
    assert part(page.card("uint8-4"), ".try").is_displayed()
    assert page.driver.current_url.endswith("#uint8-4%2F1")
    write(part(index, "input"), "no such model")
    assert part(index, "p").text == "No model matches."
    assert page.complaints == []


def test_the_address_of_a_model_opens_it(page, echoes):
    card = page.open(f"{echoes}/#int8-4/1").card("int8-4")
    page.until(part(card, ".try").is_displayed)
    assert sum(each.is_displayed() for each in page.all(".try")) == 1


def test_few_models_are_open_without_an_index(page, address):
    page.open(address).card("weather")
    assert [each.text for each in page.all(".card h2")] == ["picture", "tokens", "weather"]
    assert all(each.is_displayed() for each in page.all(".try"))
    assert not page.all("#index")[0].is_displayed()


def test_whole_numbers_that_javascript_would_round_are_exact(page, echoes):
    card = page.open(f"{echoes}/#int64-4/1").card("int64-4")
    numbers = [[2**63 - 1, -(2**53) - 1, 0, 7]]
    write(part(card, "textarea"), json.dumps(numbers))
    assert parts(page.answer(card), "pre") == [json.dumps(numbers)]


@pytest.fixture
def cat(tmp_path) -> Path:
    path = tmp_path / "chelsea.png"
    Image.fromarray(data.chelsea()).save(path)
    return path


def expect_cat(page: Page, card: WebElement, pack: Pack, cat: Path) -> None:
    manifest = pack.manifest
    spec = manifest.signature.inputs[0]
    (wanted,) = run(pack, **{spec.name: read_picture(cat, spec, manifest.preprocess)})
    answer = page.answer(card)
    order = np.argsort(-wanted[0])[:5]
    assert parts(answer, ".label") == [PICTURE_LABELS[i] for i in order]
    np.testing.assert_allclose(outputs(answer), wanted, rtol=1e-5)


def test_a_chosen_picture_is_shown_and_gets_labels(page, address, packs, cat):
    card = page.open(address).card("picture")
    part(card, "input[type=file]").send_keys(str(cat))
    image = part(card, ".attached img")
    page.until(lambda: int(image.get_property("naturalWidth")) == 451)
    assert "chelsea.png" in part(card, ".attached").text
    expect_cat(page, card, packs.picture, cat)
    part(card, "[data-slot=detach]").click()
    assert part(card, "textarea").is_displayed()
    assert page.complaints == []


DROP = """
const [form, bytes] = arguments;
const content = Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0));
const dataTransfer = new DataTransfer();
dataTransfer.items.add(new File([content], "dropped.png", { type: "image/png" }));
form.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
"""


def test_a_dropped_picture_gets_labels(page, address, packs, cat):
    card = page.open(address).card("picture")
    content = base64.b64encode(cat.read_bytes()).decode()
    page.driver.execute_script(DROP, part(card, ".try"), content)
    assert "dropped.png" in part(card, ".attached").text
    expect_cat(page, card, packs.picture, cat)


def test_a_numpy_file_is_answered(page, address, packs, tmp_path):
    given = np.array([[0.5, -1, 2, 0]], "f4")
    np.save(tmp_path / "rows.npy", given)
    card = page.open(address).card("weather")
    part(card, "input[type=file]").send_keys(str(tmp_path / "rows.npy"))
    (wanted,) = run(packs.mlp, **{packs.mlp.manifest.signature.inputs[0].name: given})
    np.testing.assert_allclose(outputs(page.answer(card)), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[1, 2, 3]]", "float32[1, 3], expected float32[batch, 4]"),
        ("[[1, 2", "the body is not JSON rows"),
        ("[[1, 2], [1]]", "different lengths"),
    ],
)
def test_an_error_is_shown_in_the_servers_words(page, address, text, words):
    card = page.open(address).card("weather")
    write(part(card, "textarea"), text)
    answer = page.answer(card)
    assert words in part(answer, ".error").text
    assert "HTTP 400" in answer.text
    write(part(card, "textarea"), "[[1, 2, 3, 4]]")
    assert page.answer(card).find_elements(By.CSS_SELECTOR, ".error") == []


def test_control_enter_sends(page, address):
    card = page.open(address).card("weather")
    part(card, "textarea").send_keys(Keys.CONTROL, Keys.ENTER)
    assert "Answered in" in page.settled(card).text


def test_latency_follows_calls_that_others_make(page, packs):
    with served(packs.mlp.path) as address:
        card = page.open(address).card("weather")
        assert part(card, "[data-slot=calls]").text == "no calls yet"
        assert not part(card, ".latency").is_displayed()
        assert not part(card, ".spark").is_displayed()
        url = f"{address}/v2/models/weather/predict"
        headers = ["-H", "Content-Type: application/json", "-d", "[[1, 2, 3, 4]]"]
        for _ in range(3):
            subprocess.run(["curl", "-sSf", url, *headers], check=True, capture_output=True)
        page.until(lambda: part(card, "[data-slot=calls]").text == "3 calls")
        assert page.all("#server")[0].text == "1 model · 3 calls"
        assert re.fullmatch(r"[\d.]+ (µs|ms|s)", part(card, "[data-slot=p99]").text)
        assert part(card, ".calls").get_attribute("d").count("M") == 3
        assert "last 3 calls" in part(card, ".spark").get_attribute("aria-label")


def test_a_server_that_goes_away_is_told_and_looked_for(page, packs):
    with ExitStack() as stack:
        address = stack.enter_context(served(packs.mlp.path))
        card = page.open(address).card("weather")
        stack.close()
        page.until(lambda: page.all("#notice")[0].text == "The server does not answer.")
        assert "does not answer" in part(page.answer(card), ".error").text
        stack.enter_context(served("--port", address.rpartition(":")[2], packs.mlp.path))
        page.until(lambda: not page.all("#notice")[0].is_displayed())
        page.until(lambda: page.all("#server")[0].text == "1 model")
        assert "Answered in" in page.answer(card).text


def test_a_model_without_proof_says_so(page, packs):
    bare = packs.picture.model_path
    with served("--no-prove", packs.mlp.path, bare) as address:
        page.open(address)
        badges = page.until(lambda: len(page.all(".badge")) == 2 and page.all(".badge"))
        assert [badge.text for badge in badges] == ["not proven"] * 2
        titles = {
            part(card, "h2").text: part(card, ".badge").get_attribute("title")
            for card in page.all("article.card")
        }
        assert "was not replayed" in titles["weather"]
        assert "has no golden data to replay" in titles["model"]
        card = page.card("model")
        assert part(card, ".evidence").text == "Evidence: none came with this model"
        assert (
            "its inputs" in part(card, ".facts").text or "golden data" in part(card, ".facts").text
        )


def test_a_key_is_asked_for_and_kept_in_memory_alone(page, packs):
    with served("--key", KEY, packs.mlp.path) as address:
        page.open(address)
        form = page.until(lambda: next((f for f in page.all("#key") if f.is_displayed()), None))
        assert "needs an API key" in form.text
        assert part(form, "input").get_attribute("type") == "password"
        part(form, "input").send_keys("wrong", Keys.ENTER)
        page.until(lambda: "does not accept this key" in form.text)
        assert page.all("article.card") == []
        part(form, "input").send_keys(KEY, Keys.ENTER)
        card = page.card("weather")
        assert not form.is_displayed()
        assert "Answered in" in page.answer(card).text
        stored = "return [localStorage.length, sessionStorage.length, document.cookie]"
        assert page.driver.execute_script(stored) == [0, 0, ""]
        page.driver.refresh()
        page.until(lambda: page.all("#key")[0].is_displayed())


def test_the_reference_wants_the_key_too_and_never_shows_it(page, packs):
    with served("--key", KEY, packs.mlp.path) as address:
        page.open(f"{address}/docs")
        page.until(lambda: page.all("#key")[0].is_displayed())
        page.all("#key input")[0].send_keys(KEY, Keys.ENTER)
        lines = page.until(lambda: [each.text for each in page.all(".curl code")])
        assert all("Authorization: Bearer $KEY" in line for line in lines)
        assert KEY not in page.driver.page_source


def test_the_reference_lists_every_operation(page, address):
    with urlopen(f"{address}/openapi.json") as answer:
        api = json.load(answer)
    page.open(f"{address}/docs")
    page.until(lambda: page.all(".curl"))
    methods = {"get", "put", "post", "delete", "patch", "head", "options"}
    wanted = [
        f"{method.upper()} {path}"
        for path, item in api["paths"].items()
        for method in item
        if method in methods
    ]
    assert [each.text for each in page.all("#paths h2")] == wanted
    assert [each.text for each in page.all("#contents a")] == list(api["paths"])
    statuses = {status for each in page.all("#paths td") for status in each.text.split(", ")}
    assert {"200", "400", "401", "429", "504"} <= statuses
    assert page.complaints == []


def test_the_curl_lines_work(page, address, packs, tmp_path):
    page.open(f"{address}/docs")
    lines = page.until(lambda: [each.text for each in page.all(".curl code")])
    commands = [shlex.split(line) for line in lines]
    runnable = [each for each in commands if not any(word.startswith("@") for word in each)]
    assert sum("-d" in each for each in runnable) == 4
    for words in runnable:
        done = subprocess.run([*words, "-sSf"], check=True, capture_output=True)
        assert done.stdout


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1200, "dark")])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_sticks_out_and_text_is_legible(page, address, path, width, scheme):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        page.open(address + path)
        page.until(lambda: page.all(".card"))
        wide = "return document.documentElement.scrollWidth"
        assert page.driver.execute_script(wide) <= width
        ground = page.driver.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        assert (int(re.findall(r"\d+", ground)[0]) < 128) == (scheme == "dark")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_files_name_no_other_host():
    folder = Path(onnxpack.__file__).parent / "server" / "http" / "page"
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|[\"'(]//", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)
        assert not re.search(r"\sstyle=|\son\w+=\"|<script>|<style", text)
