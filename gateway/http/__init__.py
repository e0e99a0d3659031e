"""The Quart app: streams, devices, history, health and the page."""
