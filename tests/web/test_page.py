"""The page in a real Chromium, on a real gateway with a real broker and simulated devices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")

pytestmark = [pytest.mark.browser, pytest.mark.broker]

ROOT = Path(__file__).parent.parent.parent
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<img src=x onerror=alert(1)>"
SETTLE_MS = 4_000
"""Newer readings than this may be on their way to one side of a comparison and not to the other."""


def _chromium() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail("chromium is missing: apt install chromium")
    pytest.skip("chromium is missing: apt install chromium")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_chromium(), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Any) -> Iterator[Any]:
    """A browser profile of the test's own; a script error or a breach of the content policy on any page fails the test."""
    faults: list[str] = []
    context = chromium.new_context(viewport={"width": 1280, "height": 800})

    def watch(page: Any) -> None:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on("console", lambda line: "Content Security Policy" in line.text and faults.append(line.text))

    context.on("page", watch)
    yield context
    context.close()
    assert faults == []


@contextmanager
def _simulated(broker: str, devices: int = 6, rate: float = 5) -> Iterator[None]:
    command = [sys.executable, "-m", "simulators", "--broker", broker, "--devices", str(devices), "--rate", str(rate)]
    process = subprocess.Popen(
        [*command, "--seed", "1"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def devices(mosquitto: Any) -> Iterator[None]:
    """Six simulated devices at the broker, five reports a second each."""
    with _simulated(mosquitto.url):
        yield


def _open(context: Any, gateway: Any, view: str = "") -> Any:
    page = context.new_page()
    page.goto(f"{gateway.url}/{view}")
    page.wait_for_selector("#status[data-phase=live]")
    return page


def _known(gateway: Any, count: int) -> list[str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        names = [known["device"] for known in gateway.get("/api/devices").json()["devices"]]
        if len(names) >= count:
            return names
        time.sleep(0.1)
    pytest.fail(f"waited for {count} devices, got {names}")


def _a_numeric_metric(gateway: Any) -> tuple[str, str]:
    """The first device, and one of its metrics, that reports at each turn."""

    def numeric() -> list[str]:
        """Empty while the device is known by what it said of itself, and has not reported yet."""
        values = gateway.get("/api/devices/greenhouse-1").json()["values"]
        return [name for name, latest in values.items() if isinstance(latest["value"], int | float)]

    wait_until(numeric)
    return "greenhouse-1", numeric()[0]


def _held(gateway: Any, device: str, metric: str) -> list[tuple[float, float]]:
    """What the log holds."""
    answer = gateway.get(f"/api/devices/{device}/readings", limit=100_000).json()
    assert answer["complete"]
    return [(reading["at"], reading["values"][metric]) for reading in answer["readings"] if metric in reading["values"]]


def _drawn(page: Any, metric: str) -> list[tuple[float, float]]:
    """What the chart draws."""
    xs, ys = page.eval_on_selector(f'.panel[data-metric="{metric}"]', "panel => panel.points()")
    assert xs == sorted(xs)
    return list(zip(xs, ys, strict=True))


def _assert_drawn_equals_held(page: Any, gateway: Any, device: str, metric: str) -> int:
    held = _held(gateway, device, metric)
    settled = max(at for at, _ in held) - SETTLE_MS
    expected = sorted(point for point in held if point[0] <= settled)
    drawn = sorted(point for point in _drawn(page, metric) if point[0] <= settled)
    missing, surplus = Counter(expected) - Counter(drawn), Counter(drawn) - Counter(expected)
    assert (missing, surplus) == (Counter(), Counter())
    return len(expected)


def _streams(gateway: Any) -> float:
    return gateway.counter("streams")


def test_all_devices_appear_by_name_and_their_values_change(context: Any, gateway: Any, devices: None) -> None:
    names = _known(gateway, 6)
    page = _open(context, gateway)
    page.wait_for_function("count => document.querySelectorAll('.card').length === count", arg=len(names))
    assert sorted(names) == page.eval_on_selector_all(".card", "cards => cards.map(card => card.dataset.device)")
    before = page.inner_text("#devices")
    page.wait_for_function("before => document.querySelector('#devices').innerText !== before", arg=before)
    assert "online" in page.inner_text('.card[data-device="greenhouse-1"]')


def test_a_chart_begins_with_history_and_goes_on_without_a_hole_or_a_double_point(
    context: Any, gateway: Any, devices: None
) -> None:
    _known(gateway, 6)
    time.sleep(2)
    device, metric = _a_numeric_metric(gateway)
    opened_ms = time.time() * 1_000
    page = _open(context, gateway, f"#/device/{device}")
    page.wait_for_selector(f'.panel[data-metric="{metric}"]')
    time.sleep(7)
    _assert_drawn_equals_held(page, gateway, device, metric)
    points = _drawn(page, metric)
    assert any(at < opened_ms - 1_000 for at, _ in points)
    assert any(at > opened_ms + 4_000 for at, _ in points)


def test_a_reload_shows_the_same_points_again(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    page = _open(context, gateway, f"#/device/{device}")
    time.sleep(5)
    page.reload()
    page.wait_for_selector("#status[data-phase=live]")
    page.wait_for_selector(f'.panel[data-metric="{metric}"]')
    time.sleep(1)
    assert _assert_drawn_equals_held(page, gateway, device, metric) > 0


def test_a_long_range_is_drawn_in_buckets_that_hold_every_reading(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    page = _open(context, gateway, f"#/device/{device}")
    page.check('input[value="1h"]')
    time.sleep(8)
    _, means, lows, highs = page.eval_on_selector(f'.panel[data-metric="{metric}"]', "panel => panel.points()")
    values = [value for _, value in _held(gateway, device, metric)]
    assert min(values) == pytest.approx(min(lows), abs=1)
    assert max(values) == pytest.approx(max(highs), abs=1)
    assert all(low <= mean <= high for low, mean, high in zip(lows, means, highs, strict=True))


def test_a_killed_gateway_is_told_and_after_its_restart_the_page_lacks_nothing(
    context: Any, gateway: Any, devices: None
) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    page = _open(context, gateway, f"#/device/{device}")
    page.wait_for_selector(f'.panel[data-metric="{metric}"]')
    time.sleep(2)
    gateway.kill()
    page.wait_for_selector("#status[data-phase=disconnected]")
    assert page.inner_text("#status").startswith("disconnected since ")
    assert page.get_attribute("html", "data-live") == "no"
    before = page.inner_text(".detail-sub")
    page.wait_for_function("before => document.querySelector('.detail-sub').innerText !== before", arg=before)
    gateway.start()
    page.wait_for_selector("#status[data-phase=live]")
    assert page.get_attribute("html", "data-live") == "yes"
    time.sleep(7)
    assert _assert_drawn_equals_held(page, gateway, device, metric) > 20
    assert page.inner_text("#notices") == ""


def test_a_deleted_log_is_told_as_a_gap_and_the_page_goes_on(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    page = _open(context, gateway, f"#/device/{device}")
    page.wait_for_selector(f'.panel[data-metric="{metric}"]')
    gateway.kill()
    shutil.rmtree(gateway.folder / "data")
    gateway.start()
    page.wait_for_selector(".notice")
    assert " is gone: " in page.inner_text(".notice p")
    time.sleep(7)
    _assert_drawn_equals_held(page, gateway, device, metric)
    page.click(".notice button")
    assert page.inner_text("#notices") == ""


def test_what_a_device_sends_is_text_and_never_markup(context: Any, gateway: Any, mosquitto: Any) -> None:
    for name in (HOSTILE, "__proto__", "constructor"):
        mosquitto.publish(f"sensors/{name}/temperature", "21.5")
        mosquitto.publish(f"sensors/{name}/note", f"<b>{HOSTILE}</b>")
    names = _known(gateway, 3)
    page = _open(context, gateway)
    page.wait_for_function("count => document.querySelectorAll('.card').length === count", arg=len(names))
    assert sorted(names) == sorted(
        page.eval_on_selector_all(".card", "cards => cards.map(card => card.dataset.device)")
    )
    assert page.locator("#views img, #views b").count() == 0
    for name in names:
        page.evaluate("name => { location.hash = '#/device/' + encodeURIComponent(name) }", name)
        page.wait_for_function("name => document.querySelector('.detail h1')?.textContent === name", arg=name)
        page.wait_for_selector('.panel[data-metric="temperature"]')
        assert page.locator("#views img, #views b").count() == 0


def test_two_tabs_share_one_connection_and_both_are_complete(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    first = _open(context, gateway, f"#/device/{device}")
    second = _open(context, gateway, f"#/device/{device}")
    time.sleep(6)
    assert _streams(gateway) == 1
    for page in (first, second):
        page.bring_to_front()
        time.sleep(0.5)
        _assert_drawn_equals_held(page, gateway, device, metric)
    first.close()
    second.wait_for_selector("#status[data-phase=live]")
    time.sleep(5)
    assert _streams(gateway) == 1
    _assert_drawn_equals_held(second, gateway, device, metric)
    second.goto("about:blank")
    _wait(lambda: _streams(gateway) == 0)


def test_a_browser_without_shared_workers_has_a_connection_of_its_own(
    context: Any, gateway: Any, devices: None
) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    context.add_init_script("delete globalThis.SharedWorker")
    page = _open(context, gateway, f"#/device/{device}")
    time.sleep(6)
    _assert_drawn_equals_held(page, gateway, device, metric)
    assert _streams(gateway) == 1


def test_a_page_that_was_left_and_is_come_back_to_lacks_nothing(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    device, metric = _a_numeric_metric(gateway)
    page = _open(context, gateway, f"#/device/{device}")
    page.wait_for_selector(f'.panel[data-metric="{metric}"]')
    page.goto("about:blank")
    time.sleep(3)
    page.go_back()
    page.wait_for_selector("#status[data-phase=live]")
    time.sleep(6)
    _assert_drawn_equals_held(page, gateway, device, metric)


def test_a_device_is_opened_and_left_with_the_keyboard(context: Any, gateway: Any, devices: None) -> None:
    _known(gateway, 6)
    page = _open(context, gateway)
    page.focus('.card[data-device="greenhouse-1"] a')
    page.keyboard.press("Enter")
    page.wait_for_selector(".detail h1:focus")
    page.go_back()
    page.wait_for_selector('.card[data-device="greenhouse-1"] a:focus')


def test_a_page_without_devices_says_what_to_do(context: Any, gateway: Any, mosquitto: Any) -> None:
    page = _open(context, gateway)
    page.wait_for_selector("#empty")
    assert "mosquitto_pub -t sensors/boiler/temperature -m 61.5" in page.inner_text("#empty")
    mosquitto.publish("sensors/boiler/temperature", "61.5")
    page.wait_for_selector('.card[data-device="boiler"]:has-text("61.5")')
    assert page.is_hidden("#empty")


def test_the_page_says_what_stands_in_the_way_of_readings_and_what_was_dropped(
    context: Any, mosquitto: Any, make_gateway: Any
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, "--set", "log.max_waiting_messages=1000").start()
    mosquitto.publish("sensors/<b>flood</b>/temperature", "1")
    _known(gateway, 1)
    page = _open(context, gateway)
    assert page.inner_text("#gateway") == ""
    with gateway.not_committing():
        mosquitto.publish_lines("sensors/<b>flood</b>/temperature", range(5000), "-q", "0")
        wait_until(lambda: gateway.counter("messages_total") == 5001)
    page.wait_for_selector("#notices .notice")
    dropped = int(gateway.counter('dropped_total{device="<b>flood</b>"}'))
    told = "text => document.querySelector('#notices').innerText.includes(text)"
    page.wait_for_function(told, arg=f"{dropped:,} readings dropped")
    assert "<b>flood</b> sends faster than can be kept" in page.inner_text("#notices")
    mosquitto.stop()
    page.wait_for_selector("#gateway .fault")
    assert "No readings come in: " in page.inner_text("#gateway")
    assert page.get_attribute("#status", "data-phase") == "live"
    other = _open(context, gateway)
    other.wait_for_selector("#gateway .fault")
    mosquitto.start()
    for each in (page, other):
        each.wait_for_selector("#gateway p", state="detached")


def test_a_fault_that_lasts_is_not_taken_away_when_the_stream_begins_anew(
    context: Any, mosquitto: Any, make_gateway: Any
) -> None:
    """A screen reader hears each change of the banner."""
    gateway = make_gateway("--broker", mosquitto.url).start()
    page = _open(context, gateway)
    mosquitto.stop()
    page.wait_for_selector("#gateway .fault")
    page.evaluate("""() => {
      const banner = document.querySelector("#gateway");
      globalThis.heard = [];
      new MutationObserver(() => heard.push(banner.innerText)).observe(banner, { childList: true, subtree: true });
    }""")
    for _ in range(3):
        gateway.stop()
        page.wait_for_selector("#status[data-phase=disconnected]")
        assert "No readings come in: " in page.inner_text("#gateway")
        gateway.start(wait_ready=False)
        gateway.wait_serving()
        page.wait_for_selector("#status[data-phase=live]")
        wait_until(lambda: "cannot connect to" in gateway.faults().get("ingest", ""))
        page.wait_for_function("() => document.querySelector('#gateway').innerText.includes('cannot connect to')")
    assert "" not in page.evaluate("heard")
    mosquitto.start()
    page.wait_for_selector("#gateway p", state="detached")
    assert "" == page.evaluate("heard").pop()


def test_a_gateway_that_does_not_know_its_devices_yet_is_told_and_asked_again(context: Any, gateway: Any) -> None:
    answers = [
        {"status": 503, "headers": {"Retry-After": "1"}, "json": {"error": "not ready", "detail": "reading the log"}}
    ] * 2
    context.route(
        "**/api/devices", lambda route: route.fulfill(**answers.pop()) if answers else route.continue_()
    )  # fmt: skip
    page = context.new_page()
    page.goto(gateway.url)
    page.wait_for_selector("#status[data-phase=starting]")
    assert "the gateway is starting: reading the log" == page.inner_text("#status-text")
    page.wait_for_selector("#status[data-phase=live]")
    assert [] == answers


def test_a_retained_value_says_that_its_age_is_unknown(
    context: Any, make_gateway: Callable[..., Any], mosquitto: Any
) -> None:
    mosquitto.publish("sensors/meter/energy", "1234.5", "-r")
    gateway = make_gateway("--broker", mosquitto.url).start()
    _known(gateway, 1)
    page = _open(context, gateway)
    page.wait_for_selector('.card[data-device="meter"]')
    assert "kept by the broker, age unknown" in page.inner_text('.card[data-device="meter"]')


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_is_wider_than_its_screen(
    chromium: Any, gateway: Any, devices: None, tmp_path: Path, width: int, scheme: str
) -> None:
    names = _known(gateway, 6)
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    for view in ["", *(f"#/device/{name}" for name in names[:2])]:
        page = _open(context, gateway, view)
        time.sleep(0.5)
        page.screenshot(path=tmp_path / "view.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 150) == (scheme == "dark")
        page.close()
    context.close()


def _wait(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
