"""Numbers in the words of several languages, written out by hand.

num2words 0.5.14 agreed on 0 to 299 and on every 13th number up to 9,999 (de, fr, es, ru, ja, en).
"""

from __future__ import annotations

import pytest

from icl.prompts.answers.numbers.find import find_numbers


@pytest.mark.parametrize(
    ("language", "words", "value"),
    [
        ("de", "neunzehnhundert", 1900),
        ("de", "zwölfhundertfünfzig", 1250),
        ("de", "zehn hundert", None),
        ("fr", "dix-sept", 17),
        ("fr", "cent dix-neuf", 119),
        ("fr", "mille neuf cent dix-huit", 1918),
        ("fr", "onze cents", 1100),
        ("fr", "dix-huit cent douze", 1812),
        ("fr", "quatre-vingt-dix-sept", 97),
        ("fr", "dix et sept", None),
        ("es", "mil novecientos diecisiete", 1917),
        ("ru", "тысяча девятьсот семнадцать", 1917),
        ("ja", "百一", 101),
        ("ja", "千百六", 1106),
        ("ja", "二千三百四十五", 2345),
        ("zh", "一百一", 110),
        ("zh", "两千三", 2300),
        ("zh", "一百零一", 101),
    ],
)
def test_one_number(language: str, words: str, value: int | None) -> None:
    found = [number.value for number in find_numbers(f"« {words} ».", language)]
    assert found == [value] if value is not None else len(found) > 1
