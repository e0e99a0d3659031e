"""How a life of the log begins: the writer takes the folder, and what it finds goes on the shelf and into the tail. Blocks."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from gateway.intake.repeats.receipts import MARK
from gateway.log.settings import LogSettings
from gateway.log.sqlite.shelf import Shelf
from gateway.log.sqlite.survey import filled_tail
from gateway.log.sqlite.writer import Opened, Roll, Writer
from gateway.log.sqlite.written import Written
from gateway.log.tail import Tail


class Life(NamedTuple):
    """What a log lives with from its first moment; ``written`` has counted the beginning already."""

    writer: Writer
    written: Written
    opened: Opened
    shelf: Shelf
    tail: Tail


def begin(settings: LogSettings, known_position: int) -> Life:
    """Open or create what lies in ``settings.folder``; arguments and errors are those of `Log.open`."""
    roll = Roll(settings.segment_bytes, int(settings.segment_age_s * 1000))
    written = Written()
    writer = Writer(settings.folder, settings.durability, roll, written)
    packet_bytes = settings.packet_window * MARK.size
    opened = written.counted(partial(writer.open, time.time_ns() // 1_000_000, known_position, packet_bytes))
    lost_oldest = bool(opened.damaged) and opened.damaged[0] < opened.segments[0].path.name
    shelf = Shelf(opened.segments, "corrupt" if lost_oldest else "expired")
    tail = filled_tail(shelf.segments, shelf.whole_from, settings.tail_bytes)
    return Life(writer, written, opened, shelf, tail)
