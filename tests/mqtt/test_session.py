from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GatewayProcess, Mosquitto, free_port, need, settings, wait_until

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
MakeBroker = Callable[..., Mosquitto]
BOILER = "sensors/boiler/temperature"


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_what_was_published_while_the_gateway_was_away_arrives(
    mosquitto: Mosquitto, make_gateway: Make, protocol: str
) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(mqtt__protocol=protocol)).start()
    mosquitto.publish(BOILER, "1")
    wait_until(lambda: [1] == gateway.logged())
    assert 0 == gateway.stop()
    mosquitto.publish_lines(BOILER, range(2, 50))
    gateway.start()
    wait_until(lambda: len(gateway.logged()) >= 49)
    assert list(range(1, 50)) == gateway.logged()
    assert "session resumed" in gateway.output()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a broker's certificate for 127.0.0.1, a client's, and an authority that signed neither."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run([need("openssl", "openssl"), *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for authority in ("ca", "other"):
        openssl(
            "req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}"
        )
    for name in ("broker", "client"):
        openssl(
            "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
            "-CA", "ca.pem", "-CAkey", "ca.key",
            "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE",
        )  # fmt: skip
    return folder


@pytest.fixture
def tls_broker(make_mosquitto: MakeBroker, certificates: Path) -> Mosquitto:
    files = f"cafile {certificates}/ca.pem\ncertfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key"
    return make_mosquitto(f"allow_anonymous true\n{files}\nrequire_certificate true")


def test_tls_with_an_authority_and_a_client_certificate(
    tls_broker: Mosquitto, certificates: Path, make_gateway: Make
) -> None:
    ours = {"mqtt__certificate": f"{certificates}/client.pem", "mqtt__key": f"{certificates}/client.key"}
    options = settings(mqtt__ca=f"{certificates}/ca.pem", **ours)
    gateway = make_gateway("--broker", f"mqtts://127.0.0.1:{tls_broker.port}", *options).start()
    files = ["--cafile", "ca.pem", "--cert", "client.pem", "--key", "client.key", "-h", "127.0.0.1"]
    words = [str(certificates / word) if "." in word and word[0].isalpha() else word for word in files]
    tls_broker.publish_lines(BOILER, range(500), *words)
    wait_until(lambda: len(gateway.logged()) >= 500)
    assert list(range(500)) == gateway.logged()


def test_a_websocket_listener_with_tls(make_mosquitto: MakeBroker, certificates: Path, make_gateway: Make) -> None:
    port = free_port()
    files = f"certfile {certificates}/broker.pem\nkeyfile {certificates}/broker.key"
    broker = make_mosquitto(f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n{files}")
    options = settings(mqtt__ca=f"{certificates}/ca.pem")
    gateway = make_gateway("--broker", f"wss://127.0.0.1:{port}/mqtt", *options).start()
    broker.publish_lines(BOILER, range(1000))
    wait_until(lambda: gateway.newest() == 999)
    assert list(range(1000)) == gateway.logged()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"mqtt__ca": "other.pem"}, "certificate verify failed"), ({"mqtt__ca": "ca.pem"}, "mqtt.certificate")],
    ids=["a wrong authority", "no client certificate"],
)
def test_a_tls_fault_is_told(
    tls_broker: Mosquitto, certificates: Path, make_gateway: Make, options: dict[str, str], said: str
) -> None:
    files = settings(**{key: certificates / name for key, name in options.items()})
    gateway = make_gateway("--broker", f"mqtts://127.0.0.1:{tls_broker.port}", *files).start(wait_ready=False)
    gateway.wait_serving()
    wait_until(lambda: said in gateway.faults().get("ingest", ""), what=said)
    assert said in gateway.output()
    assert "Traceback" not in gateway.output()


@pytest.fixture
def password_broker(make_mosquitto: MakeBroker, tmp_path: Path) -> Mosquitto:
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run([need("mosquitto_passwd", "mosquitto"), "-b", passwords, "gateway", "right"], check=True)
    return make_mosquitto(f"allow_anonymous false\npassword_file {passwords}")


def test_a_user_with_a_password(password_broker: Mosquitto, make_gateway: Make) -> None:
    gateway = make_gateway("--broker", f"mqtt://gateway:right@127.0.0.1:{password_broker.port}").start()
    password_broker.publish(BOILER, "1", "-u", "gateway", "-P", "right")
    wait_until(lambda: [1] == gateway.logged())
    assert "right" not in gateway.output()


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_a_wrong_password_is_told_and_not_shown(password_broker: Mosquitto, make_gateway: Make, protocol: str) -> None:
    options = settings(mqtt__username="gateway", mqtt__password="wrong-one", mqtt__protocol=protocol)
    gateway = make_gateway("--broker", password_broker.url, *options).start(wait_ready=False)
    gateway.wait_serving()
    wait_until(lambda: "Not authorized" in gateway.faults()["ingest"], what="the refusal")
    assert f"127.0.0.1:{password_broker.port} refused us: Not authorized" == gateway.faults()["ingest"]
    assert "wrong-one" not in gateway.output()


def test_a_websocket_listener(make_mosquitto: MakeBroker, make_gateway: Make) -> None:
    port = free_port()
    broker = make_mosquitto(f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets")
    gateway = make_gateway("--broker", f"ws://127.0.0.1:{port}/mqtt").start()
    broker.publish_lines(BOILER, range(1000))
    wait_until(lambda: len(gateway.logged()) >= 1000)
    assert list(range(1000)) == gateway.logged()


@pytest.mark.slow
def test_what_was_acknowledged_to_the_publisher_is_logged_exactly_once_across_three_kills(
    mosquitto: Mosquitto, gateway: GatewayProcess
) -> None:
    total = 12_000
    publisher = threading.Thread(target=mosquitto.publish_lines, args=[BOILER, range(total)])
    publisher.start()
    for _ in range(3):
        time.sleep(0.2)
        gateway.kill()
        gateway.start(wait_ready=False)
        gateway.wait_serving()
    publisher.join()
    wait_until(lambda: gateway.newest() == total - 1, 30, "the readings")
    assert list(range(total)) == gateway.logged()


TINY = {"log__max_waiting_messages": 100, "log__tail_bytes": 1_000_000, "mqtt__window": 400}


@pytest.mark.slow
def test_a_flood_at_qos_1_pauses_and_resumes_and_loses_nothing(mosquitto: Mosquitto, make_gateway: Make) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(**TINY)).start()
    mosquitto.publish_lines(BOILER, range(2000))
    wait_until(lambda: gateway.counter("messages_total") == 2000)
    before = gateway.resident_kb()
    mosquitto.publish_lines(BOILER, range(2000, 22_000))
    wait_until(lambda: gateway.newest() == 21_999, 30, "22,000 readings")
    assert list(range(22_000)) == gateway.logged()
    assert gateway.counter("ingest_pauses_total") > 0
    assert gateway.resident_kb() - before < 30_000


@pytest.mark.slow
def test_a_flood_at_qos_0_is_survived(mosquitto: Mosquitto, make_gateway: Make) -> None:
    gateway = make_gateway("--broker", mosquitto.url, *settings(**TINY)).start()
    mosquitto.publish_lines(BOILER, range(1000), "-q", "0")
    wait_until(lambda: gateway.counter("messages_total") >= 1000)
    before = gateway.resident_kb()
    mosquitto.publish_lines(BOILER, range(1000, 41_000), "-q", "0")
    mosquitto.publish("sensors/end/temperature", "1")
    wait_until(lambda: [1] == gateway.logged("end"), 30, "the reading after the flood")
    assert gateway.counter("ingest_pauses_total") > 0
    assert gateway.resident_kb() - before < 30_000
