"""Who made a bundle: real keys and certificates, and what must not pass for a signature."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.bundle.load import load_bundle
from components.common.bundle.signing import check_signature, sign_bundle
from components.common.bundle.stage import Keys, Staged, stage_bundle
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError

PEM = serialization.Encoding.PEM


def write_key(folder, name, curve=ec.SECP256R1, password=None):
    key = ec.generate_private_key(curve())
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, cipher))
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public, key


def certificate(subject, key, issuer, issuer_key, days, *, authority=False):
    """One that was made 400 days ago and is valid for `days` days."""
    start = datetime.now(UTC) - timedelta(days=400)
    name = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (subject, issuer)]
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, False, False, False)
    builder = x509.CertificateBuilder(
        name[1], name[0], key.public_key(), x509.random_serial_number(), start, start + timedelta(days=days)
    )
    builder = builder.add_extension(x509.BasicConstraints(authority, None), True).add_extension(usage, True)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(PEM)


@pytest.fixture
def bundle(exported, tmp_path):
    return shutil.copytree(exported.path, tmp_path / "bundle")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private and a public key."""
    return write_key(tmp_path_factory.mktemp("keys"), "signer")[:2]


def check(bundle, key):
    check_signature(open_artifact(bundle, "bundle"), key)


def test_a_bundle_can_be_signed_again_by_a_relative_path(bundle, keys, monkeypatch):
    private, public = keys
    monkeypatch.chdir(bundle.parent)
    for _ in range(2):
        sign_bundle(Path(bundle.name), private)
    check(Path(bundle.name), public)


def test_a_signed_bundle_is_the_same_bundle_and_opens_everywhere(bundle, keys):
    private, public = keys
    digest = open_artifact(bundle, "bundle").digest
    assert sign_bundle(bundle, private) == bundle / "model.sig"
    assert verify_bundle(bundle, digest=digest, key=public, load=False).digest == digest
    assert load_bundle(bundle, public).artifact.digest == digest
    sign_bundle(bundle, private)  # again, in place of the first
    check(bundle, public)


@pytest.mark.parametrize("curve", [ec.SECP384R1, ec.SECP521R1])
def test_other_curves_sign(bundle, tmp_path, curve):
    private, public, _ = write_key(tmp_path, "key", curve)
    sign_bundle(bundle, private)
    check(bundle, public)


def test_openssl_makes_such_keys_and_the_tool_of_the_format_reads_the_signature(bundle, tmp_path):
    key, public = tmp_path / "key.pem", tmp_path / "key.pub"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key], check=True)
    subprocess.run(["openssl", "ec", "-in", key, "-pubout", "-out", public], check=True, stderr=subprocess.DEVNULL)
    sign_bundle(bundle, key)
    tool = [sys.executable, "-m", "model_signing", "verify", "key", bundle, "--signature", bundle / "model.sig"]
    done = subprocess.run([*tool, "--public_key", public], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (bundle / "labels.json").write_text("{}")
    assert subprocess.run([*tool, "--public_key", public], capture_output=True, check=False).returncode != 0


def test_no_signature_is_refused_where_one_is_asked_for(bundle, keys):
    for opened in (lambda: check(bundle, keys[1]), lambda: load_bundle(bundle, keys[1])):
        with pytest.raises(ArtifactError, match=r"not signed, and a signature by .* is required"):
            opened()


def again(bundle):
    """Hashes made right, as somebody does who may write to the store."""
    made_from = open_artifact_unchecked(bundle)
    with new_artifact(bundle.with_name("other"), "bundle", made_from) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
    return bundle.with_name("other")


def open_artifact_unchecked(bundle):
    return json.loads((bundle / "artifact.json").read_text())["made_from"]


def edited(bundle):
    (bundle / "labels.json").write_text((bundle / "labels.json").read_text() + " ")


def added(bundle):
    (bundle / "notes.txt").write_text("x")


def hidden(bundle):
    (bundle / ".gitignore").write_text("x")


def removed(bundle):
    (bundle / "parity.json").unlink()


@pytest.mark.parametrize("edit", [edited, added, hidden, removed])
def test_a_bundle_that_was_changed_after_signing_is_refused_whatever_its_hashes_say(bundle, keys, edit):
    sign_bundle(bundle, keys[0])
    edit(bundle)
    with pytest.raises(ArtifactError, match=r"model\.sig: not a signature of this bundle"):
        check(again(bundle), keys[1])


def test_the_signature_of_another_bundle_is_refused(bundle, keys, tmp_path):
    sign_bundle(bundle, keys[0])
    other = shutil.copytree(bundle, tmp_path / "second")
    edited(other)
    other = again(other)
    sign_bundle(other, keys[0])
    shutil.copy(other / "model.sig", bundle / "model.sig")
    with pytest.raises(ArtifactError, match=r"model\.sig: not a signature of this bundle"):
        check(bundle, keys[1])


def test_another_key_is_refused(bundle, keys, tmp_path):
    sign_bundle(bundle, write_key(tmp_path, "other")[0])
    with pytest.raises(ArtifactError, match=r"not a signature of this bundle by .*signer\.pub .*Key mismatch"):
        check(bundle, keys[1])


def test_every_flipped_bit_of_the_signature_is_refused_or_changes_nothing_that_is_signed(bundle, keys):
    sign_bundle(bundle, keys[0])
    path = bundle / "model.sig"
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            check(bundle, keys[1])
        except ArtifactError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused >= 58  # two at most in names and white space that nothing depends on


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"verificationMaterial": 3}', b"\xff", b"[" * 10**5])
def test_what_is_no_signature_is_one_line(bundle, keys, content):
    (bundle / "model.sig").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.sig") as error:
        check(bundle, keys[1])
    assert "\n" not in str(error.value)


def test_a_link_in_place_of_the_signature_is_refused(bundle, keys, tmp_path):
    sign_bundle(bundle, keys[0]).rename(tmp_path / "elsewhere")
    (bundle / "model.sig").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="is a link"):
        check(bundle, keys[1])


def test_other_artifacts_have_no_signature(tmp_path):
    with new_artifact(tmp_path / "index", "index", {}) as folder:
        (folder / "file").write_text("x")
    (tmp_path / "index" / "model.sig").write_text("x")
    with pytest.raises(ArtifactError, match=r"model\.sig is not part of the artifact"):
        open_artifact(tmp_path / "index", "index")


def test_a_certificate_signs_and_its_root_is_trusted(bundle, tmp_path):
    root_key, (private, _, key) = ec.generate_private_key(ec.SECP256R1()), write_key(tmp_path, "clinic")
    root, other = tmp_path / "root.pem", tmp_path / "other.pem"
    root.write_bytes(certificate("root", root_key, "root", root_key, 4000, authority=True))
    stranger = ec.generate_private_key(ec.SECP256R1())
    other.write_bytes(certificate("root", stranger, "root", stranger, 4000, authority=True))
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate("clinic", key, "root", root_key, 4000) + root.read_bytes())
    sign_bundle(bundle, private, chain)
    check(bundle, root)
    with pytest.raises(ArtifactError, match="not a signature of this bundle"):
        check(bundle, other)
    chain.write_bytes(certificate("clinic", key, "root", root_key, 300) + root.read_bytes())
    sign_bundle(bundle, private, chain)
    with pytest.raises(ArtifactError, match=r"its certificate is valid from .* have the bundle signed again"):
        check(bundle, root)


def test_keys_that_cannot_be_used_are_one_line_with_what_is_allowed(bundle, keys, tmp_path):
    (tmp_path / "text").write_text("no key")
    (tmp_path / "rsa.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    locked = write_key(tmp_path, "locked", password=b"secret")[0]
    for key, said in (
        (tmp_path / "none", "No such file"),
        (tmp_path / "text", "a file with a private key as PEM"),
        (tmp_path / "rsa.pem", "expected a private key, ECDSA"),
        (keys[1], "expected a private key, ECDSA"),
        (locked, "without a password"),
    ):
        with pytest.raises(ConfigError, match=said):
            sign_bundle(bundle, key)
    assert not (bundle / "model.sig").exists()
    sign_bundle(bundle, keys[0])
    for key, said in ((tmp_path / "text", "as PEM"), (keys[0], "expected a public key, ECDSA")):
        with pytest.raises(ConfigError, match=said):
            check(bundle, key)


def test_a_staged_version_is_signed_as_it_is_served(bundle, keys, tmp_path):
    private, public = keys
    target = str(tmp_path / "served")
    with pytest.raises(ArtifactError, match="not signed"):
        stage_bundle(bundle, target, 1, keys=Keys(check=public))
    sign_bundle(bundle, private)
    staged = stage_bundle(bundle, target, 1, keys=Keys(check=public, sign=private))
    assert stage_bundle(bundle, target, 1, keys=Keys(check=public, sign=private)) == Staged(staged.uri, new=False)
    version = tmp_path / "served" / "1"
    tool = [sys.executable, "-m", "model_signing", "verify", "key", version, "--signature", version / "model.sig"]
    assert subprocess.run([*tool, "--public_key", public], capture_output=True, check=False).returncode == 0
    (version / "assets.extra" / "labels.json").write_text("{}")
    assert subprocess.run([*tool, "--public_key", public], capture_output=True, check=False).returncode != 0
