"""Local folders, and what is said about any URI."""

import subprocess
import sys

import pytest

from components.common.runtime.errors import ConfigError
from components.common.storage import store


def test_local_listing_is_sorted_deep_and_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/er/c.jpeg", "notes.txt", ".hidden.jpg", ".cache/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    found = store.list_images(str(tmp_path))
    assert [item.name for item in found] == ["a.PNG", "b.jpg", "c.jpeg"]
    assert {item.size for item in found} == {5}
    assert store.read_object(found[0]) == b"12345"
    assert store.list_images(f"file://{tmp_path}") == found


def test_a_name_too_long_for_a_file_does_not_exist(tmp_path):
    assert not store.exists(str(tmp_path / ("x" * 300)))


def test_a_linked_folder_is_listed_under_its_own_name(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [item.uri for item in store.list_images(str(tmp_path / "link"))] == [str(tmp_path / "link" / "a.jpg")]


def test_linked_folders_are_followed_once_each_and_loops_end(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "own", elsewhere / "part"):
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.jpg").write_bytes(b"1")
    (tmp_path / "outside.jpg").write_bytes(b"1")
    (root / "a_link").symlink_to(root / "own")
    (root / "part").symlink_to(elsewhere / "part")
    (root / "again").symlink_to(elsewhere / "part")
    (root / "loop").symlink_to("..")
    (elsewhere / "part" / "back").symlink_to(root)
    names = [item.uri.removeprefix(f"{root}/") for item in store.list_images(str(root))]
    assert sorted(name.rpartition("/")[2] for name in names) == ["own.jpg", "part.jpg"]
    assert "own/own.jpg" in names


def test_links_that_lead_nowhere_are_named(tmp_path, caplog):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "b").symlink_to(tmp_path / "gone")
    assert store.list_images(str(tmp_path)) == []
    assert f"2 broken links, the first is {tmp_path / 'a.jpg'}" in caplog.text


def test_local_files_are_read_fetched_written(tmp_path):
    (tmp_path / "a b.txt").write_bytes(b"x")
    assert store.read_bytes(f"file://{tmp_path}/a%20b.txt") == b"x"
    assert store.fetch(str(tmp_path / "a b.txt"), tmp_path / "scratch") == tmp_path / "a b.txt"
    store.upload(tmp_path / "a b.txt", str(tmp_path / "deep" / "copy.txt"))
    assert (tmp_path / "deep" / "copy.txt").read_bytes() == b"x"
    assert store.exists(str(tmp_path)) and not store.exists(str(tmp_path / "absent"))
    for call in (store.read_bytes, store.list_images, lambda uri: store.fetch(uri, tmp_path)):
        with pytest.raises(FileNotFoundError):
            call(str(tmp_path / "absent"))


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(ConfigError, match="received 'http://x/y'; allowed: a local path, file://, gs://"):
        store.read_bytes("http://x/y")
    with pytest.raises(ConfigError, match="expected gs://bucket/prefix"):
        store.read_bytes("gs://")


def test_a_local_run_imports_no_client():
    code = (
        "import sys; from components.common.storage import store; store.list_images('.');"
        "sys.exit(bool({'google.cloud.storage', 's3fs', 'requests'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
