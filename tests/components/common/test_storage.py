"""Local folders, and what is said about any URI."""

import subprocess
import sys

import pytest

from components.common import storage
from components.common.errors import ConfigError


def test_local_listing_is_sorted_deep_and_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/er/c.jpeg", "notes.txt", ".hidden.jpg", ".cache/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    found = storage.list_images(str(tmp_path))
    assert [item.name for item in found] == ["a.PNG", "b.jpg", "c.jpeg"]
    assert {item.size for item in found} == {5}
    assert storage.read_object(found[0]) == b"12345"
    assert storage.list_images(f"file://{tmp_path}") == found


def test_a_linked_folder_is_listed_under_its_own_name(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [item.uri for item in storage.list_images(str(tmp_path / "link"))] == [str(tmp_path / "link" / "a.jpg")]


def test_local_files_are_read_fetched_written(tmp_path):
    (tmp_path / "a b.txt").write_bytes(b"x")
    assert storage.read_bytes(f"file://{tmp_path}/a%20b.txt") == b"x"
    assert storage.fetch(str(tmp_path / "a b.txt"), tmp_path / "scratch") == tmp_path / "a b.txt"
    storage.upload(tmp_path / "a b.txt", str(tmp_path / "deep" / "copy.txt"))
    assert (tmp_path / "deep" / "copy.txt").read_bytes() == b"x"
    assert storage.exists(str(tmp_path)) and not storage.exists(str(tmp_path / "absent"))
    for call in (storage.read_bytes, storage.list_images, lambda uri: storage.fetch(uri, tmp_path)):
        with pytest.raises(FileNotFoundError):
            call(str(tmp_path / "absent"))


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(ConfigError, match="received 'http://x/y'; allowed: a local path, file://, gs://"):
        storage.read_bytes("http://x/y")
    with pytest.raises(ConfigError, match="expected gs://bucket/prefix"):
        storage.read_bytes("gs://")


def test_a_local_run_imports_no_client():
    code = (
        "import sys; from components.common import storage; storage.list_images('.');"
        "sys.exit(bool({'google.cloud.storage', 's3fs', 'requests'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
