"""Who may ask: CORS for configured origins, and the name in the Host header.

A gateway on loopback has no password. The check of Host keeps a foreign page from reading it through a name of that page's
own which points to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

from gateway.config import Http

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


def host_problem(host_header: str, settings: Http) -> str | None:
    """Why a request with this Host header is refused, or None."""
    if not settings.allowed_hosts and not settings.is_loopback:
        return None
    name = host_name(host_header)
    # The address that it listens on is no name, which somebody else could let point here.
    own = settings.host if settings.is_loopback else ""
    if name in LOOPBACK_NAMES or name in map(host_name, filter(None, [*settings.allowed_hosts, own])):
        return None
    return f"this gateway does not answer to the name {name[:100]!r}; add it to http.allowed_hosts if it should"


def host_name(text: str) -> str:
    """The name or address in a Host header or a setting: without port, brackets and final dot, in lower case."""
    if text.startswith("["):
        name, _, after = text[1:].partition("]")
        is_port = after[:1] == ":" and after[1:].isdecimal()
        return name.lower() if ":" in name and (not after or is_port) else ""
    if text.count(":") == 1:
        text = text.partition(":")[0]
    return text.lower().removesuffix(".")


def allowed_origin(origin: str | None, settings: Http) -> str | None:
    """The value of Access-Control-Allow-Origin for a request with that Origin, or None."""
    if origin is not None and "*" in settings.cors_origins:
        return "*"
    return origin if origin in settings.cors_origins else None


def added_headers(allowed: str | None, settings: Http) -> dict[str, str]:
    """The headers that every answer carries, unless it has its own; ``allowed`` is what `allowed_origin` says."""
    headers = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
    if settings.cors_origins:
        headers["Vary"] = "Origin"
    if allowed is not None:
        headers |= {"Access-Control-Allow-Origin": allowed, "Access-Control-Expose-Headers": "X-Position"}
    return headers


def preflight_headers() -> dict[str, str]:
    """What a preflight of an allowed origin is told beside: a returning stream sends its last id."""
    return {"Access-Control-Allow-Headers": "Last-Event-ID, Cache-Control", "Access-Control-Max-Age": "600"}
