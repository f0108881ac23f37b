"""What looks like a secret in texts of strangers (messages about alerts, reasons, errors), taken out on suspicion.

The other package has nearly the same patterns: the two share no code.
"""

import re
from collections.abc import Mapping
from typing import Any

MASK = "[withheld]"
_LABELS = r"(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?"
# Every repetition is bounded or begins at a rare word: the text is a stranger's, and so is the time that it takes.
# Unlike in texts for people, long hexadecimal words stay: keys of orders and digests are such.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*",
        r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?",  # a JSON web token
        r"(?<=://)[^\s/@]{1,400}(?=@)",  # user and password of a URL
        r"\b(?:proxy-)?authorization\b[\"']?\s?[:=].{1,400}",
        r"\b(?:set-)?cookie\b[\"']?\s?[:=].{1,400}",
        r"\bbearer\s[\w.~+/=-]{8,}",
        rf"{_LABELS}[\w.-]{{0,40}}[\"']?\s?[:=]\s?[\"']?[^\s\"',;&]{{1,400}}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"\b(?:sk|pk|rk|ghp|gho|ghs|ghu|glpat|xox[abprs]|hf|npm|dop_v1)[-_][\w-]{12,}",
    )
)


def redacted(value: Any) -> Any:
    """The value with what looks like a secret taken out of its texts; those in maps and lists, too."""
    if isinstance(value, str):
        for pattern in _SECRETS:
            value = pattern.sub(MASK, value)
        return value
    if isinstance(value, Mapping):
        return {key: redacted(item) for key, item in value.items()}
    return [redacted(item) for item in value] if isinstance(value, list | tuple) else value
