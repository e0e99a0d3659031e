"""Simulated devices that publish over MQTT as real ones do.

Pure floor: ``signals`` (what a sensor sees), ``profile`` and ``profiles`` (what kinds of device there are), ``device``
(what one device publishes, and when), ``address`` and ``status``. I/O on top: ``fleet`` (MQTT), ``command`` (the CLI).
Faults belong between ``device`` and ``fleet``: whatever yields publications can be wrapped by what spoils them.
"""
