"""E-mail addresses, telephone and card numbers in text, found by libraries made for each, and replaced."""

from __future__ import annotations

import re
from collections import Counter

from icl.errors import ConfigError

EMAIL, PHONE, CARD = "[EMAIL]", "[PHONE]", "[CARD]"
_EMAIL = re.compile(r"[^\s@<>(),;:\"\[\]\u3000-\u303f\uff00-\uffef\u4e00-\u9fff]+@[\w-]+(?:\.[\w-]+)+")
_DIGITS = re.compile(r"(?<![\d+])[2-6](?:[ -]?\d){12,18}(?!\d)")
"""13 to 19 digits that begin as those of cards do (ISO/IEC 7812: travel, banking, merchandising)."""


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

        def card(hit: re.Match[str]) -> str:
            digits = re.sub(r"\D", "", hit[0])
            if not self._luhn.is_valid(digits) or len(set(digits)) == 1:
                return hit[0]
            found["cards"] += 1
            return CARD

        def email(hit: re.Match[str]) -> str:
            address = hit[0].rstrip(".")
            try:
                self._emails.validate_email(address, check_deliverability=False, allow_quoted_local=False)
            except self._emails.EmailNotValidError:
                return hit[0]
            found["emails"] += 1
            return EMAIL + hit[0][len(address) :]

        text = _EMAIL.sub(email, _DIGITS.sub(card, text))
        pieces, end = [], 0
        for hit in self._phones.PhoneNumberMatcher(text, self._region):
            pieces += [text[end : hit.start], PHONE]
            end = hit.end
            found["phones"] += 1
        return "".join([*pieces, text[end:]]), found
