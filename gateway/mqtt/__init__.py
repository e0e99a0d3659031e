"""The session with the broker, and the embedded broker that is started when no other is named."""
