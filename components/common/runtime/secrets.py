"""Text for people and logs, without the secrets that URLs and answers of servers may hold."""

from __future__ import annotations

import re

_HIDDEN = "***"
_PATTERNS = (
    # a name and password in a URL
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/?#@\"']+@", re.IGNORECASE), rf"\1{_HIDDEN}@"),
    # what signs a URL, or stands in it as a key
    (
        re.compile(
            r"([?&](?:x-amz-[\w-]+|x-goog-[\w-]+|sig|signature|access_?key\w*|api_?key|auth)=)[^\s&\"']+", re.IGNORECASE
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w.-]+"), _HIDDEN),  # a JSON web token
    # not the word of our own messages about an entry, as in `gcs_credentials.secret: received 'Bad_'`
    (
        re.compile(
            r"(\w*(?:token|password|secret|cookie|session))([\"']?\s*[=:]\s*[\"']?)(?!received )[^\s\"',;}&]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{_HIDDEN}",
    ),
)


def without_secrets(text: str) -> str:
    """`text` with passwords in URLs, signatures, tokens and cookies redacted.

    >>> without_secrets("https://me:pass@host/x?X-Amz-Signature=ab12&part=3")
    'https://***@host/x?X-Amz-Signature=***&part=3'
    """
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
