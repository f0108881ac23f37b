"""Text of strangers made fit for a model and for people: short, without characters that hide, without secrets. Pure.

What looks like a secret is taken out on suspicion. Nothing here makes a text trustworthy.
"""

from __future__ import annotations

import re
import unicodedata

WITHHELD = "[withheld]"

# Controls, formats (bidi, zero width, tags), surrogates, private use: what a reader does not see, a model does.
_HIDING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@=+-]*")
_LABELS = r"(?:pass(?:word|wd|phrase)|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?"
# Every repetition is bounded or begins at a rare word: the text is a stranger's, and so is the time that it takes.
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*",
        r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?",  # a JSON web token
        r"(?<=://)[^\s/@]{1,400}(?=@)",  # user and password of a URL
        r"\b(?:proxy-)?authorization\b[\"']?\s?[:=].{1,400}",
        r"\b(?:set-)?cookie\b[\"']?\s?[:=].{1,400}",
        r"\bbearer\s[\w.~+/=-]{8,}",
        rf"{_LABELS}[\w.-]{{0,40}}[\"']?\s?(?:[:=]|\bis\b)\s?[\"']?[^\s\"',;&]{{1,400}}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
        r"\b(?:sk|pk|rk|ghp|gho|ghs|ghu|glpat|xox[abprs]|hf|npm|dop_v1)[-_][\w-]{12,}",
        r"\b[0-9a-f]{32,}\b",
        r"(?-i:\b(?=[\w+/-]{0,80}\d)(?=[\w+/-]{0,80}[a-z])(?=[\w+/-]{0,80}[A-Z])[\w+/-]{40,}={0,2})",  # base64
    )
)


def cleaned(text: str, limit: int) -> str:
    """At most `limit` characters of `text`: one line, nothing hidden in it, what looks like a secret taken out."""
    return redacted(visible(text[: 4 * limit]))[:limit].rstrip()


def visible(text: str) -> str:
    """`text` on one line, without characters that nobody sees; what only looks different becomes the same (NFKC)."""
    shown = "".join(
        " " if char.isspace() else "" if unicodedata.category(char) in _HIDING else char
        for char in unicodedata.normalize("NFKC", text)
    )
    return " ".join(shown.split())


def redacted(text: str) -> str:
    """`text` without what looks like a secret."""
    for pattern in _SECRETS:
        text = pattern.sub(WITHHELD, text)
    return text


def is_token(text: str, limit: int) -> bool:
    """Whether `text` is one word of the kind that names and states are made of: no spaces, no sentence."""
    return len(text) <= limit and _TOKEN.fullmatch(text) is not None
