"""Makes the paho client out of the configuration; it is not connected yet."""

from __future__ import annotations

import hashlib
import socket
import ssl
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.clock import Clock
from gateway.config import Config
from gateway.errors import BrokerError
from gateway.mqtt.bulk import BulkClient, OnMessages, is_supported

SPARE_BYTES = 65_535 + 1024
"""What an MQTT 5 packet may hold beside its payload: a topic of the greatest length, and some properties."""


def stable_client_id(config: Config) -> str:
    """The configured client id, or one that is the same whenever this log is used on this host."""
    if config.mqtt.client_id:
        return config.mqtt.client_id
    identity = f"{socket.gethostname()}\0{Path(config.log.folder).resolve()}".encode()
    return f"sensor-gateway-{hashlib.blake2b(identity, digest_size=5).hexdigest()}"


def tls_context(config: Config) -> ssl.SSLContext:
    """The TLS settings for the broker; raises BrokerError when a file cannot be used."""
    mqtt = config.mqtt
    try:
        context = ssl.create_default_context(cafile=mqtt.ca or None)
        if mqtt.ca:
            # Python 3.13 asks for extensions that an authority made by the book of mosquitto-tls(7) does not have.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if mqtt.certificate:
            context.load_cert_chain(mqtt.certificate, mqtt.key)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"mqtt.ca, mqtt.certificate or mqtt.key cannot be used: {error}") from error
    return context


def make_client(config: Config, on_messages: OnMessages, clock: Clock) -> paho.Client:
    """A client with a persistent session and acknowledgements of ours; raises BrokerError for unusable files.

    Messages go to ``on_messages`` where it is a `BulkClient`. paho's own client has ``on_message`` for them.
    """
    mqtt, broker = config.mqtt, config.broker()
    is_v5 = mqtt.protocol == "5"
    options: dict[str, Any] = {
        "client_id": stable_client_id(config),
        "clean_session": None if is_v5 else False,
        "protocol": paho.MQTTv5 if is_v5 else paho.MQTTv311,
        "transport": broker.transport,
        "reconnect_on_failure": False,
        "manual_ack": True,
    }
    client: paho.Client
    if mqtt.client == "bulk" and is_supported():
        client = BulkClient(on_messages, clock, **options)
    else:
        client = paho.Client(CallbackAPIVersion.VERSION2, **options)
    username, password = mqtt.username or broker.username, mqtt.password or broker.password
    if username:
        client.username_pw_set(username, password or None)
    if broker.tls:
        client.tls_set_context(tls_context(config))
    if broker.transport == "websockets":
        client.ws_set_options(path=broker.path)
    client.connect_timeout = mqtt.connect_timeout_s
    client.max_inflight_messages_set(mqtt.window)
    properties = _properties(config) if is_v5 else None
    client.connect_async(broker.host, broker.port, mqtt.keepalive_s, clean_start=False, properties=properties)
    return client


def _properties(config: Config) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho has no types here
    properties.ReceiveMaximum = config.mqtt.window
    properties.SessionExpiryInterval = config.mqtt.session_expiry_s
    # The broker then drops what we would reject. MQTT 3.1.1 has no such word: set message_size_limit at the broker.
    properties.MaximumPacketSize = config.limits.max_payload_bytes + SPARE_BYTES
    return properties
