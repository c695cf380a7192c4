"""Validation of the numbers in JSON files."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tposecli.utils.strict_json import json_integer, json_number, json_numbers


def test_integers() -> None:
    assert json_integer(139, "id") == 139
    assert json_integer(139.0, "id", integral_floats=True) == 139
    assert json_integer(-1, "id", minimum=-1) == -1


@pytest.mark.parametrize("value", [139.0, 1.5, True, "139", None, [139], math.nan, math.inf])
def test_other_values_are_not_integers(value: Any) -> None:
    with pytest.raises(ValueError, match=r"id: expected an integer, got"):
        json_integer(value, "id")


@pytest.mark.parametrize("value", [1.5, True, "139", math.nan, math.inf])
def test_only_integral_floats_are_integers(value: Any) -> None:
    with pytest.raises(ValueError, match=r"id: expected an integer, got"):
        json_integer(value, "id", integral_floats=True)


@pytest.mark.parametrize("value", [0, 11, 1 << 70, -(1 << 70)])
def test_integers_out_of_range(value: int) -> None:
    with pytest.raises(ValueError, match=r"id: -?\d+ is out of range|id: -?\d+\.\.\. is out of range"):
        json_integer(value, "id", 1, 10)


def test_numbers() -> None:
    assert json_number(3, "score") == 3.0
    assert isinstance(json_number(3, "score"), float)
    assert json_numbers([1, 2.5], "bbox", 2) == [1, 2.5]


@pytest.mark.parametrize("value", [True, "1", None, [1.0], math.nan, math.inf, -math.inf, 10**400, 1e7])
def test_other_values_are_not_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match=r"score: (expected a number|.* is out of range)"):
        json_number(value, "score", max_abs=1e6)
    with pytest.raises(ValueError, match=r"score: (expected a number|.* is out of range)"):
        json_numbers([0.5, value], "score", max_abs=1e6)


@pytest.mark.parametrize("value", [None, 1.0, "1", {}, [1.0]])
def test_lists_need_their_length(value: Any) -> None:
    with pytest.raises(ValueError, match="bbox: expected a list of 2 numbers"):
        json_numbers(value, "bbox", 2)
