from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.remembered import MAX_KEY_LENGTH, Remembered


@given(keys=st.lists(st.integers(0, 20)), most=st.integers(1, 10))
def test_it_never_holds_more_than_its_bound_and_keeps_the_newest(keys: list[int], most: int) -> None:
    remembered: Remembered[int, str] = Remembered(most)
    for key in keys:
        assert str(key) == remembered.remember(key, str(key))
        assert str(key) == remembered.get(key)
        assert len(remembered) <= most


@given(length=st.integers(0, 3 * MAX_KEY_LENGTH), is_text=st.booleans())
def test_long_keys_are_not_remembered(length: int, is_text: bool) -> None:
    remembered: Remembered[str | bytes, int] = Remembered(10)
    key = "t" * length if is_text else b"t" * length
    assert 1 == remembered.remember(key, 1)
    assert (length <= MAX_KEY_LENGTH) == (key in remembered)
