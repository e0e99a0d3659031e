from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import load
from tests.conftest import GatewayProcess, Mosquitto, wait_until

pytestmark = pytest.mark.broker
Make = Callable[..., GatewayProcess]
MakeBroker = Callable[..., Mosquitto]
BOILER = "sensors/boiler/temperature"


def dynamic_security(folder: Path, *, subscribe: bool) -> str:
    """Lines for a broker that refuses subscriptions: its ACL file cannot, the plugin can."""
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)
    if plugin is None:
        pytest.skip("mosquitto_dynamic_security.so is missing: it comes with mosquitto 2")
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": subscribe, "unsubscribe": True}
    config = folder / "dynamic-security.json"
    config.write_text(json.dumps({"defaultACLAccess": access, "clients": [], "groups": [], "roles": []}))
    return f"allow_anonymous true\nplugin {plugin}\nplugin_opt_config_file {config}"


def test_a_refused_subscription_is_told(make_mosquitto: MakeBroker, make_gateway: Make, tmp_path: Path) -> None:
    broker = make_mosquitto(dynamic_security(tmp_path, subscribe=False))
    gateway = make_gateway("--broker", broker.url).start(wait_ready=False)
    gateway.wait_serving()
    wait_until(lambda: "refused" in gateway.faults()["ingest"], what="the refusal")
    assert f"the broker refused {', '.join(load(environment={}).subscriptions())}" == gateway.faults()["ingest"]
    assert "no readings come from there" in gateway.output()
    assert len(load(environment={}).subscriptions()) == gateway.counter("subscriptions_refused_total")
    dynamic_security(tmp_path, subscribe=True)
    broker.restart()
    gateway.wait_ready()


def test_it_subscribes_again_when_the_broker_lost_the_session(make_mosquitto: MakeBroker, make_gateway: Make) -> None:
    broker = make_mosquitto("allow_anonymous true\npersistence false")
    gateway = make_gateway("--broker", broker.url).start()
    broker.restart()
    wait_until(lambda: gateway.counter("broker_connects_total") == 2 and not gateway.faults())
    broker.publish(BOILER, "1")
    wait_until(lambda: [1] == gateway.logged())


def test_a_changed_configuration_changes_the_subscriptions_of_the_kept_session(
    mosquitto: Mosquitto, make_gateway: Make
) -> None:
    gateway = make_gateway("--broker", mosquitto.url).start()
    gateway.stop()
    config = gateway.folder / "config.toml"
    config.write_text('[[topics]]\npattern = "plant/{device}/{metric}"\n')
    gateway.start()
    mosquitto.publish("plant/boiler/temperature", "7")
    wait_until(lambda: [7] == gateway.logged())
    mosquitto.publish(BOILER, "8")
    mosquitto.publish("plant/boiler/temperature", "9")
    wait_until(lambda: [7, 9] == gateway.logged())
    assert 2 == gateway.counter("messages_total")
