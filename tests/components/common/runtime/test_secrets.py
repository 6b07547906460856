"""Secrets in URLs and in what servers answer are not shown."""

import subprocess
import sys

import pytest

from components.common.runtime.errors import ConfigError
from components.common.runtime.secrets import without_secrets
from components.common.storage.store import scheme_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:password@host:8080/x", "http://***@host:8080/x"),
        ("cannot reach 'https://token@host'", "cannot reach 'https://***@host'"),
        ("https://b/o?X-Goog-Signature=abc&x-goog-credential=me%2F1&part=2",
         "https://b/o?X-Goog-Signature=***&x-goog-credential=***&part=2"),
        ("https://b/o?sig=abc%3D", "https://b/o?sig=***"),
        ("token=abcdefgh rest", "token=*** rest"),
        ("/x?access_token=abcdefgh&n=1", "/x?access_token=***&n=1"),
        ('"password": "abcdefgh"', '"password": "***"'),
        ("Bearer abcdefgh.ijkl", "Bearer ***"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.sig", "***"),
        ("the token has expired", "the token has expired"),
        ("gcs_credentials.secret: received 'Bad_'; allowed", "gcs_credentials.secret: received 'Bad_'; allowed"),
        ("secret: received-abcdefgh", "secret: ***"),
        ("gs://bucket/a@sha256:12", "gs://bucket/a@sha256:12"),
        ("registry.example/x@sha256:12", "registry.example/x@sha256:12"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)  # fmt: skip
def test_secrets_are_blacked_out_and_the_rest_stays(text, shown):
    assert without_secrets(text) == shown


def test_an_error_shows_no_password_whoever_raises_it():
    with pytest.raises(ConfigError, match=r"^received 'http://\*\*\*@host/x\.csv'; allowed: a local path"):
        scheme_of("http://user:password@host/x.csv")


def test_a_log_line_shows_no_password():
    code = (
        "import logging; from components.common.runtime.session import setup_logging; setup_logging(); "
        "logging.getLogger('any').info('reading %s', 'https://user:password@host/x')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("INFO    reading https://***@host/x\n")
