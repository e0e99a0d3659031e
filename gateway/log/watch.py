"""Wake: which streams to tell that something of theirs was appended. One bit a stream, and no data (laws 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.selection import Selection


class Watch:
    """One bit: that of a stream, or of a crowd of streams. ``wake`` sets it, and must neither block nor raise."""

    __slots__ = ("_group", "_watches", "wake")

    def __init__(self, watches: Watches, group: _Group, wake: Callable[[], object]) -> None:
        self._watches, self._group, self.wake = watches, group, wake

    def close(self) -> None:
        """Do not be woken any more; harmless when it is closed already."""
        self._watches.close(self, self._group)


class _Group:
    """The watches of all streams with equal selections, and the devices known to touch them."""

    __slots__ = ("devices", "selection", "watches")

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self.watches: set[Watch] = set()
        self.devices: set[str] = set()


class Watches:
    """All open watches. Costs by what is touched: a reading wakes only the streams that asked for its device.

    Bounds: a watch a stream, and while there are streams, a set for each device that was appended (`limits.max_devices`).
    """

    def __init__(self) -> None:
        self._groups: dict[Selection, _Group] = {}
        self._by_device: dict[str, set[_Group]] = {}

    def open(self, selection: Selection, wake: Callable[[], object]) -> Watch:
        """A new watch, to be closed when its stream ends."""
        group = self._groups.get(selection)
        if group is None:
            group = self._groups[selection] = _Group(selection)
            for device in self._by_device if selection.globs else selection.names & self._by_device.keys():
                self._join(group, device)
        watch = Watch(self, group, wake)
        group.watches.add(watch)
        return watch

    def close(self, watch: Watch, group: _Group) -> None:
        """Forget a watch, and its group with the last watch in it. Called by `Watch.close`."""
        group.watches.discard(watch)
        if not group.watches and self._groups.get(group.selection) is group:
            del self._groups[group.selection]
            for device in group.devices:
                self._by_device[device].discard(group)
        if not self._groups:
            self._by_device.clear()

    def wake(self, devices: Iterable[str]) -> None:
        """Set the bit of every watch that selects one of ``devices``."""
        if not self._groups:
            return
        touched: set[_Group] = set()
        for device in devices:
            groups = self._by_device.get(device)
            touched.update(self._groups_for(device) if groups is None else groups)
        for group in touched:
            for watch in group.watches:
                watch.wake()

    def _groups_for(self, device: str) -> set[_Group]:
        """A device that was not seen before: which groups want it."""
        groups = self._by_device[device] = set()
        for group in self._groups.values():
            self._join(group, device)
        return groups

    def _join(self, group: _Group, device: str) -> None:
        if device in group.selection:
            self._by_device[device].add(group)
            group.devices.add(device)
