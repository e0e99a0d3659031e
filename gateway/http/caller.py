"""Who asks, and what of the log they may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from quart import request

from gateway.selection import ALL, Selection

Scope = Mapping[str, Any]
"""An ASGI scope of a request."""

KEY = "gateway.caller"
"""Under this key the gate leaves the caller in the scope, for the routes behind it."""


class Caller(NamedTuple):
    """Who sent a request: the ``address`` of the other end, the devices that they may see, and what they are called.

    A device outside of ``rights`` is to them one that does not exist.
    """

    address: str
    rights: Selection
    name: str


CallerOf = Callable[[Scope], Caller]


def anybody(scope: Scope) -> Caller:
    """Everybody may see everything: there is no password yet."""
    return Caller((scope.get("client") or ("",))[0], ALL, "")


def rights() -> Selection:
    """The rights of the caller of Quart's present request, which has come through the gate."""
    scope: Any = request.scope
    caller: Caller = scope[KEY]
    return caller.rights
