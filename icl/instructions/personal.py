"""E-mail addresses, telephone and card numbers in text, found by libraries made for each, and replaced."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from icl.errors import ConfigError

EMAIL, PHONE, CARD = "[EMAIL]", "[PHONE]", "[CARD]"
LONGEST = 19
"""Digits of a card number."""
_CJK = r"\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_EMAIL = re.compile(rf"[^\s@<>(),;:\"\[\]{_CJK}]+@[^\W{_CJK}](?:[^\W{_CJK}]|-)*(?:\.(?:[^\W{_CJK}]|-)+)+")
_DIGITS = re.compile(r"(?<![\d+])\d(?:[ \u00a0-]?\d){12,}")
_WIDTH = {0xFF10 + digit: 0x30 + digit for digit in range(10)} | {0xFF20: "@", 0xFF0E: ".", 0xFF0D: "-"}
"""Full-width digits and signs, one for one, so that places stay."""
_BEGINS = re.compile(r"[3-6]|2[2-7]")
"""As the numbers of cards do (ISO/IEC 7812: travel, banking, merchandising; 2221 to 2720 of the twos)."""
_LAYOUT = re.compile(r"(?:1[3-9]|(?:4,){3}[1-4](?:,[1-3])?|4,6,[45])$")
"""Digits of its groups: in one piece, by fours, or as on the cards with 14 and 15 digits."""


class Screen:
    """Finds and replaces. region: two letters, of telephone numbers that do not begin with +.

    Cards: digits with a right check digit (Luhn, python-stdnum); addresses: what email-validator takes;
    telephone numbers: those that are valid in their country (phonenumbers). ConfigError where one of these
    is not installed, or the region is none.
    """

    def __init__(self, region: str = "US") -> None:
        try:
            import email_validator
            import phonenumbers
            from stdnum import luhn
        except ImportError as error:
            raise ConfigError(
                f"screening for personal data needs {error.name}, not installed: pip install 'icl[needs]'"
            ) from error
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ConfigError(f"region is {region!r}; allowed: two letters of a country, such as US, DE, CN")
        self._emails, self._phones, self._luhn, self._region = email_validator, phonenumbers, luhn, region

    def __call__(self, text: str) -> tuple[str, Counter[str]]:
        """The text without them, and how many of each were replaced."""
        found: Counter[str] = Counter()

        def replaced(text: str, spans: Iterable[tuple[int, int]], mark: str, kind: str) -> str:
            pieces, end = [], 0
            for begin, after in spans:
                pieces += [text[end:begin], mark]
                end = after
                found[kind] += 1
            return "".join([*pieces, text[end:]])

        text = replaced(text, self._cards(text.translate(_WIDTH)), CARD, "cards")
        text = replaced(text, self._addresses(text.translate(_WIDTH)), EMAIL, "emails")
        hits = self._phones.PhoneNumberMatcher(text, self._region)
        return replaced(text, ((hit.start, hit.end) for hit in hits), PHONE, "phones"), found

    def _cards(self, text: str) -> Iterator[tuple[int, int]]:
        """Places of card numbers: groups of a run of digits, with others before and behind them or none."""
        for run in _DIGITS.finditer(text):
            groups = [(run.start() + g.start(), run.start() + g.end()) for g in re.finditer(r"\d+", run[0])]
            first = 0
            while first < len(groups):
                lasts = range(min(len(groups), first + LONGEST) - 1, first - 1, -1)
                last = next((last for last in lasts if self._is_card(text, groups, first, last)), None)
                if last is None:
                    first += 1
                    continue
                yield groups[first][0], groups[last][1]
                first = last + 1

    def _is_card(self, text: str, groups: Sequence[tuple[int, int]], first: int, last: int) -> bool:
        """Whether these groups are one: those of a whole run in any layout."""
        parts = [text[begin:end] for begin, end in groups[first : last + 1]]
        digits = "".join(parts)
        if not (13 <= len(digits) <= LONGEST and _BEGINS.match(digits) and len(set(digits)) > 1):
            return False
        whole = len(parts) == len(groups)
        laid_out = _LAYOUT.match(",".join(str(len(part)) for part in parts))
        return bool((whole or laid_out) and self._luhn.is_valid(digits))

    def _addresses(self, text: str) -> Iterator[tuple[int, int]]:
        for hit in _EMAIL.finditer(text):
            address = hit[0].rstrip(".")
            try:
                self._emails.validate_email(address, check_deliverability=False, allow_quoted_local=False)
            except self._emails.EmailNotValidError:
                continue
            yield hit.start(), hit.start() + len(address)
