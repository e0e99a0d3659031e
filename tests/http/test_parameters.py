"""Query parameters to values, or to one error that names one of them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request

from gateway.http.parameters import (
    INTERVAL_S,
    MAX_POSITION,
    BadParameterError,
    duration_s,
    history_parameters,
    moment,
    only_known,
    stream_parameters,
)
from gateway.selection import ALL
from gateway.stream.plan import EARLIEST, Last, Since

NOW = 1_795_335_752_114
STREAM = ("device", "after", "since", "last", "mode", "interval", "metric", "snapshot")
HISTORY = ("since", "until", "after", "metric", "limit", "buckets", "format")


def args(query: str) -> MultiDict[str, str]:
    return Request({"QUERY_STRING": iri_to_uri(query)}).args


def stream(query: str = "", device: str | None = None, last_event_id: str | None = None):
    return stream_parameters(args(query), device, last_event_id, NOW)


def history(query: str = "", accept: str = ""):
    return history_parameters(args(query), accept, NOW)


def named(parse, query: str) -> str:
    with pytest.raises(BadParameterError) as refused:
        parse(query)
    assert f"{refused.value.parameter}: {refused.value.detail}" == str(refused.value)
    assert refused.value.detail.isprintable()
    return refused.value.parameter


def parameters_or_name(parse):
    try:
        return parse()
    except BadParameterError as error:
        return error.parameter


def test_without_parameters_a_stream_has_all_devices_from_the_head():
    assert (ALL, None, "every", 0, frozenset(), True) == stream()


def test_streams_of_one_device_share_its_selection():
    assert stream(device="a").selection is stream("last=1", device="a").selection


def test_all_parameters_of_a_stream_are_taken():
    found = stream("device=boiler&device=kitchen/*&after=5&mode=latest&interval=250ms&metric=a&metric=b/c&snapshot=no")
    assert frozenset({"boiler", "kitchen/*"}) == found.selection.patterns
    assert (5, "latest", 0.25, frozenset({"a", "b/c"}), False) == found[1:]


@pytest.mark.parametrize(
    ("query", "start"),
    [
        ("after=0", 0),
        (f"after={MAX_POSITION}", MAX_POSITION),
        ("after=head", None),
        ("after=earliest", EARLIEST),
        ("since=15m", Since(NOW - 900_000)),
        ("since=2026-11-22T10:02:32Z", Since(1_795_341_752_000)),
        ("since=1795335752114", Since(NOW)),
        ("last=1", Last(1)),
        ("last=100000", Last(100_000)),
    ],
)
def test_a_stream_starts_by_position_time_or_count(query, start):
    assert start == stream(query).start


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("after=", "after"),
        ("after=-1", "after"),
        ("after=1.5", "after"),
        ("after=+5", "after"),
        ("after=%2B5", "after"),
        ("after=\u0665", "after"),
        (f"after={MAX_POSITION + 1}", "after"),
        (f"after={'9' * 5000}", "after"),
        ("after=1&after=2", "after"),
        ("after=HEAD", "after"),
        ("since=yesterday", "since"),
        ("since=15", None),
        ("since=٣m", "since"),
        ("since=15M", "since"),
        ("since=-5m", "since"),
        ("since=2026-11-22T10:02:32", "since"),
        ("since=1e3", "since"),
        (f"since={'9' * 17}", "since"),
        ("last=0", "last"),
        ("last=100001", "last"),
        ("last=x", "last"),
        ("after=1&since=5m", "since"),
        ("since=5m&last=5", "last"),
        ("last=5&after=1", "last"),
        ("mode=all", "mode"),
        ("mode=", "mode"),
        ("mode=every&mode=latest", "mode"),
        ("interval=49ms", "interval"),
        ("interval=61s", "interval"),
        ("interval=0s", "interval"),
        ("interval=1", "interval"),
        ("snapshot=true", "snapshot"),
        ("metric=", "metric"),
        ("metric=" + "x" * 513, "metric"),
        ("&".join(f"metric={n}" for n in range(51)), "metric"),
        ("device=", "device"),
        ("device=" + "x" * 513, "device"),
        ("&".join(f"device={n}" for n in range(201)), "device"),
        ("devices=a", "devices"),
        ("=5", ""),
        ("x" * 5000 + "=5", "x" * 80),
    ],
)
def test_a_bad_parameter_of_a_stream_is_named(query, parameter):
    if parameter is None:
        stream(query)
    else:
        assert parameter == named(stream, query)


def test_an_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(BadParameterError, match="did you mean 'interval'"):
        stream("intervall=1s")
    with pytest.raises(BadParameterError, match="known are after, since"):
        stream("zzz=1", device="a")
    with pytest.raises(BadParameterError, match="known are none here"):
        only_known(args("x=1"), ())


def test_the_device_of_the_path_is_taken_by_its_name():
    found = stream(device="kitchen/fridge")
    assert (frozenset({"kitchen/fridge"}), frozenset()) == (found.selection.names, found.selection.globs)
    assert "device" == named(lambda query: stream(query, device="a"), "device=b")


@pytest.mark.parametrize("device", ["*", "kitchen/*", "", "x" * 513])
def test_a_path_that_names_no_one_device_is_refused(device):
    assert "device" == named(lambda query: stream(query, device=device), "")


@pytest.mark.parametrize(
    ("header", "start"),
    [
        ("17", 17),
        ("0", 0),
        (str(MAX_POSITION), MAX_POSITION),
        (str(MAX_POSITION + 1), 5),
        ("0" * 20 + "17", 5),
        ("9" * 10_000, 5),
        ("", 5),
        (None, 5),
        ("abc", 5),
        ("-1", 5),
        ("1.5", 5),
        ("1 2", 5),
        ("١٢", 5),
        ("²", 5),
        ("earliest", 5),
    ],
)
def test_the_last_event_id_wins_and_garbage_in_it_is_ignored(header, start):
    assert start == stream("after=5", last_event_id=header).start


def test_the_last_event_id_wins_over_time_and_count_too():
    assert [17, 17] == [stream(query, last_event_id="17").start for query in ("since=5m", "last=5")]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_no_last_event_id_whatever_is_refused(header):
    start = stream("after=5", last_event_id=header).start
    assert 5 == start or header == str(start).zfill(len(header))


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("0s", 0)]
)
def test_a_duration_has_a_unit(text, seconds):
    assert seconds == duration_s(text)


@pytest.mark.parametrize("text", ["", "5", "s", "1.5s", "5 s", "5S", "-5s", "5s\n", "1234567890s", "\uff15s"])
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="must be a duration"):
        duration_s(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("290ms", NOW - 290),
        ("999999999d", 0),
        ("2026-11-22T11:02:32+01:00", 1_795_341_752_000),
        ("2026-11-22T11:02:32 01:00", 1_795_341_752_000),
        ("2026-11-22T11:02:32.5 0100", 1_795_341_752_500),
        ("2026-11-22 11:02:32 01:00", 1_795_341_752_000),
        ("2026-11-22 10:02:32Z", 1_795_341_752_000),
    ],
)
def test_a_moment_is_a_duration_before_now_a_time_with_zone_or_unix_ms(text, ms):
    assert ms == moment(text, NOW)


def test_the_plus_of_a_zone_may_arrive_as_a_blank():
    assert Since(1_795_341_752_000) == stream("since=2026-11-22T11:02:32+01:00").start
    assert Since(1_795_341_752_000) == stream("since=2026-11-22T11:02:32%2B01:00").start


@pytest.mark.parametrize(
    "text", ["2026-11-22 11:02", "2026-11-22", "11:02:32 01:00", "2026-11-22T11:02:32", " ", "5m ", "²"]
)
def test_a_moment_without_a_zone_is_none(text):
    with pytest.raises(ValueError, match="must be a duration"):
        moment(text, NOW)


def test_without_parameters_the_history_is_all_that_is_held_up_to_the_limit():
    assert ((None, None, None, frozenset(), 10_000, None), "json") == history()


def test_all_parameters_of_the_history_are_taken():
    query = "since=1000&until=2000&after=7&metric=a&limit=5&format=csv"
    assert ((1000, 2000, 7, frozenset({"a"}), 5, None), "csv") == history(query)
    assert 600 == history("buckets=600").plan.buckets


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("since=2000&until=1999", "until"),
        ("since=x", "since"),
        ("until=x", "until"),
        ("after=earliest", "after"),
        ("limit=0", "limit"),
        ("limit=100001", "limit"),
        ("buckets=0", "buckets"),
        ("buckets=10001", "buckets"),
        ("buckets=5&format=csv", "buckets"),
        ("buckets=5&limit=5", "limit"),
        ("format=xml", "format"),
        ("metric=", "metric"),
        ("last=5", "last"),
        ("device=a", "device"),
    ],
)
def test_a_bad_parameter_of_the_history_is_named(query, parameter):
    assert parameter == named(history, query)


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("application/x-ndjson", "ndjson"),
        ("text/csv", "csv"),
        ("text/csv; charset=utf-8", "csv"),
        ("application/json, text/csv;q=0.5", "json"),
        ("application/json;q=0.5, text/csv", "csv"),
        ("text/csv;q=0", "json"),
        ("image/png", "json"),
        ("*/*, text/csv;q=0.5", "json"),
        ("text/csv, */*;q=0.5", "csv"),
        ("TEXT/CSV", "csv"),
        (";;;q=,", "json"),
    ],
)
def test_the_accept_header_chooses_the_format_and_the_parameter_wins(accept, format_):
    assert format_ == history(accept=accept).format
    assert ["json", "csv", "ndjson"] == [history(f"format={each}", accept).format for each in ("json", "csv", "ndjson")]


names = st.sampled_from(sorted({*STREAM, *HISTORY})) | st.text(max_size=6)
texts = (
    st.text(max_size=12)
    | st.from_regex(r"[0-9]{1,18}(ms|s|m|h|d)?", fullmatch=True)
    | st.sampled_from(
        [
            "every",
            "latest",
            "head",
            "earliest",
            "yes",
            "json",
            "csv",
            "*",
            "2026-11-22T11:02:32 01:00",
            "9999-12-31T23:59:59-14:00",
        ]
    )
)
queries = st.lists(st.tuples(names, texts), max_size=4).map(urlencode) | st.text(
    alphabet="&=%+;afinter0*\\ud", max_size=30
)


@settings(max_examples=150, deadline=None)
@given(queries, st.none() | st.text(max_size=5), st.none() | st.text(max_size=18), st.text(max_size=20))
@example("since=0001-01-01T00:00:00+14:00", None, None, "text/csv;q=x")
def test_any_query_gives_parameters_within_their_limits_or_names_the_bad_one(query, device, last_event_id, accept):
    given_names = {name[:80] for name in args(query)}
    found = parameters_or_name(lambda: stream(query, device, last_event_id))
    if isinstance(found, str):
        assert found in given_names | {"device"}
    else:
        assert found.start is None or isinstance(found.start, Since | Last) or EARLIEST <= found.start <= MAX_POSITION
        assert found.interval_s == 0 or INTERVAL_S[0] <= found.interval_s <= INTERVAL_S[1]
    asked = parameters_or_name(lambda: history(query, accept))
    if isinstance(asked, str):
        assert asked in given_names | {"buckets"}
    else:
        assert asked.format in ("json", "ndjson", "csv")
        assert 1 <= asked.plan.limit <= 100_000
