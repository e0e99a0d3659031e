"""Sensor Gateway: MQTT in, a short durable log in SQLite, Server-Sent Events out."""

__version__ = "0.1.0"
