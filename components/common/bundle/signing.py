"""Signed bundles: `model.sig`, in the format of OpenSSF Model Signing, which KServe and others check as well.

Hashes prove that a bundle is whole, not who made it. The signature covers every other file of the bundle, also
`artifact.json`, by a key (ECDSA on P-256, P-384 or P-521) or by a certificate; nothing is fetched over a network. With
a certificate the time of signing is only claimed, so an expired one counts as none.
(https://github.com/sigstore/model-transparency, https://github.com/secure-systems-lab/dsse)
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.artifacts.folder import MANIFEST, SIGNATURE, Artifact, open_artifact
from components.common.artifacts.json_file import read_object, shown, write_atomic
from components.common.runtime.errors import ArtifactError, ConfigError

KEY_VARIABLE = "LESIONFLOW_BUNDLE_KEY"  # file of the key by which every bundle must be signed, where a pod has one
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_MOST_KEY_BYTES = 2**20


def sign_bundle(path: Path, key: Path, certificate: Path | None = None) -> Path:
    """Signs a bundle; an earlier signature is replaced.

    Args:
        path: the bundle.
        key: private key, PEM without a password.
        certificate: PEM with the certificate of this key first and those up to the root after it; None: the key alone.

    Returns:
        The signature's file.

    Raises:
        ConfigError: the key or certificate cannot be used.
        ArtifactError: the bundle is damaged.
    """
    open_artifact(path, "bundle")
    write_signature(path, path / SIGNATURE, key, certificate)
    return path / SIGNATURE


def write_signature(folder: Path, signature: Path, key: Path, certificate: Path | None = None) -> None:
    """Signs every file in a folder but the signature itself; see `sign_bundle`.

    Raises:
        ConfigError: the key or certificate cannot be used.
    """
    _require()
    from model_signing import hashing, signing

    content = _read_key(key, "private key")
    how = signing.Config()
    with TemporaryDirectory() as scratch:
        made = Path(scratch) / SIGNATURE
        try:
            if certificate is None:
                how.use_elliptic_key_signer(private_key=key)
            else:
                first, others = _split_chain(_read_key(certificate, "certificate"), Path(scratch))
                how.use_certificate_signer(private_key=key, signing_certificate=first, certificate_chain=others)
            # relative paths are taken from the folder that is signed, not from where this process runs
            hashed = hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)
            how.set_hashing_config(hashed).sign(folder, made)
        except (ValueError, TypeError, AttributeError) as error:
            hint = "expected a private key, ECDSA on P-256, P-384 or P-521, as PEM without a password"
            if b"ENCRYPTED" in content:
                hint += " (it has one: `openssl pkey -in FILE -out OTHER` writes it without)"
            raise ConfigError(f"--key: {key} cannot sign ({_line(error)}); {hint}") from error
        write_atomic(signature, made.read_bytes())


def asked_key() -> Path | None:
    """The key that bundles must be signed by in this pod, from `bundle_key_secret`; None: they need not be signed.

    Raises:
        ConfigError: the secret has no entry `key`.
    """
    given = os.environ.get(KEY_VARIABLE)
    if not given:
        return None
    if not Path(given).is_file():
        raise ConfigError(
            "bundle_key_secret: the secret has no entry `key`; expected a public key or certificate as PEM there"
        )
    return Path(given)


def check_signature(bundle: Artifact, key: Path) -> None:
    """Refuses a bundle that is not signed by a key.

    Args:
        bundle: as `open_artifact` gives it: its files were held against `artifact.json`.
        key: public key, or certificates to trust, as PEM.

    Raises:
        ConfigError: the key cannot be used.
        ArtifactError: not signed, by another key, of another bundle, or by a certificate that is not valid today.
    """
    signature = bundle.path / SIGNATURE
    content = _read_key(key, "public key or certificate")
    if not signature.is_file():
        raise ArtifactError(
            f"{bundle.path}: not signed, and a signature by {key} is required; ask whoever made it to sign it "
            "(lesionflow bundle sign)"
        )
    record = read_object(signature)
    _require()
    try:
        with redirect_stdout(StringIO()):  # it prints a warning about signatures of its versions before 1.0
            _verifier(content, key).verify(bundle.path, signature)
        if _CERTIFICATE in content:
            _check_dates(signature, record)
        covered = _covered(record)
    except (ArtifactError, ConfigError):
        raise
    except Exception as error:
        said = _line(error) or type(error).__name__
        raise ArtifactError(f"{signature}: not a signature of this bundle by {key} ({said}); do not use it") from error
    expected = {**bundle.files, MANIFEST: bundle.digest}
    if covered != expected:
        odd = sorted({*covered.items()} ^ {*expected.items()})
        raise ArtifactError(f"{signature}: does not cover {shown(odd[0][0])} as it is here; do not use this bundle")


def _verifier(content: bytes, key: Path) -> Any:
    from model_signing import hashing, verifying

    how = verifying.Config()
    try:
        if _CERTIFICATE in content:
            how.use_certificate_verifier(certificate_chain=[key])
        else:
            how.use_elliptic_key_verifier(public_key=key)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"--key: {key} cannot be used ({_line(error)}); expected a public key, ECDSA on P-256, P-384 or P-521, or "
            "certificates, as PEM"
        ) from error
    return how.set_hashing_config(hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False))


def _check_dates(signature: Path, record: Mapping[str, Any]) -> None:
    from cryptography import x509

    now = datetime.now(UTC)
    for one in record["verificationMaterial"]["x509CertificateChain"]["certificates"]:
        certificate = x509.load_der_x509_certificate(base64.b64decode(one["rawBytes"]))
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not start <= now <= end:
            raise ArtifactError(
                f"{signature}: its certificate is valid from {start:%Y-%m-%d} to {end:%Y-%m-%d}, today is "
                f"{now:%Y-%m-%d}; have the bundle signed again"
            )


def _covered(record: Mapping[str, Any]) -> dict[str, str]:
    """sha256 by name of the files that the verified statement names."""
    statement = json.loads(base64.b64decode(record["dsseEnvelope"]["payload"]))
    return {one["name"]: one["digest"] for one in statement["predicate"]["resources"] if one["algorithm"] == "sha256"}


def _split_chain(content: bytes, scratch: Path) -> tuple[Path, list[Path]]:
    """The signing certificate, and those above it, as files of their own."""
    parts = [_CERTIFICATE + one for one in content.split(_CERTIFICATE)[1:]]
    if not parts:
        raise ValueError("the certificate is not PEM")
    first, rest = scratch / "certificate.pem", scratch / "chain.pem"
    first.write_bytes(parts[0])
    rest.write_bytes(b"".join(parts[1:]))
    return first, [rest] if parts[1:] else []


def _read_key(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as handle:
            content = handle.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise ConfigError(f"--key: received {str(path)!r}; allowed: a file with a {what} ({error.strerror})") from error
    if b"-----BEGIN " not in content:
        raise ConfigError(f"--key: received {str(path)!r}; allowed: a file with a {what} as PEM")
    return content


def _require() -> None:
    if find_spec("model_signing") is None:
        raise ConfigError("signatures need the extra `signing`: pip install 'lesionflow[signing]'")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
