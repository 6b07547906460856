"""What a stranger may put into a bucket: refused with a line of its own, without being read or decoded."""

import json
import os
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from components.common.runtime.errors import DataError
from components.common.storage import store
from components.ingest.__main__ import main
from components.ingest.config import IngestConfig
from components.ingest.run import run

TWO_GB = 2 * 2**30
LOSSY = IngestConfig(max_lost_pct=100)


def ingested(collection, out, *more_roots, config=LOSSY):
    run(config, collection.table, [collection.root, *more_roots], out)
    return pd.read_parquet(out / "index.parquet").set_index("image_id")


def bytes_read():
    """All bytes this process has read so far, from files and sockets."""
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())["rchar"])


def sparse(path, size=TWO_GB):
    path.write_bytes(b"\xff\xd8\xff\xe0")
    with path.open("r+b") as handle:
        handle.truncate(size)


def png_bomb(side):
    """A whole, valid PNG of side x side grey pixels: a few hundred kilobytes that become side**2 bytes."""
    packer = zlib.compressobj(9)
    row = bytes(side + 1)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "~/passwd", "..\\x", "gs://other/x"])
def test_an_image_id_that_leaves_the_roots_is_one_line_and_nothing_is_written(collection, tmp_path, name, capsys):
    collection.write_table(image_id={3: name})
    out = tmp_path / "index"
    code = main(["--metadata", collection.table, "--images", collection.root, "--out", str(out)])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert code == 1
    assert len(errors) == 1
    assert "row 5, column image_id: received" in errors[0]
    assert "a plain file name, with or without suffix and folder" in errors[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "image_id", "verdict"),
    [("/etc/passwd", "passwd", "missing"), ("C:\\Users\\me\\im3.jpg", "im3", "ok")],
)
def test_a_path_of_elsewhere_is_looked_for_by_name_below_the_roots(collection, tmp_path, name, image_id, verdict):
    collection.write_table(image_id={3: name})
    index = ingested(collection, tmp_path / "index")
    assert index["verdict"][image_id] == verdict
    assert all(uri == "" or uri.startswith(collection.root) for uri in index["uri"])


def test_a_decompression_bomb_is_refused_by_its_header(collection, tmp_path):
    bomb = png_bomb(11_000)
    assert len(bomb) < 2**20
    collection.file(2).with_suffix(".png").write_bytes(bomb)
    collection.file(2).unlink()
    row = ingested(collection, tmp_path / "index").loc["im2"]
    assert row["verdict"] == "unsupported"
    assert "at most 100 megapixels" in row["reason"]


def test_a_file_of_two_gigabytes_is_refused_unread(collection, tmp_path):
    sparse(collection.file(4))
    before = bytes_read()
    index = ingested(collection, tmp_path / "index")
    assert bytes_read() - before < 2**26
    assert index.loc["im4", "verdict"] == "unsupported"
    assert index.loc["im4", "reason"] == f"{TWO_GB} bytes; at most {256 * 2**20} are read"
    assert (index["verdict"] == "ok").sum() == len(index) - 1


def test_a_second_file_of_the_same_name_and_two_gigabytes_is_not_read_either(collection, tmp_path):
    (tmp_path / "more").mkdir()
    sparse(tmp_path / "more" / "im4.jpg")
    before = bytes_read()
    row = ingested(collection, tmp_path / "index", str(tmp_path / "more")).loc["im4"]
    assert bytes_read() - before < 2**26
    assert (row["verdict"], row["uri"]) == ("ok", str(collection.file(4)))


class _Bucket(BaseHTTPRequestHandler):
    """A bucket with one object that claims two gigabytes; it counts who asks for the bytes."""

    def do_GET(self):
        if "alt=media" in self.path or "/download/" in self.path:
            self.server.asked.append(self.path)
            self.send_error(500)
            return
        item = {"name": "im4.jpg", "size": str(TWO_GB), "generation": "1", "crc32c": "AAAAAA=="}
        body = json.dumps({"items": [item]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_an_object_that_claims_two_gigabytes_is_not_asked_for(collection, tmp_path, monkeypatch):
    collection.file(4).unlink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Bucket)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(store, "_clients", {})
    try:
        row = ingested(collection, tmp_path / "index", "gs://skin").loc["im4"]
    finally:
        server.shutdown()
        server.server_close()
    assert (row["verdict"], row["uri"]) == ("unsupported", "gs://skin/im4.jpg")
    assert "2147483648 bytes" in row["reason"]
    assert server.asked == []


def test_a_png_of_four_billion_pixels_across_is_damage_of_one_image(collection, tmp_path):
    head = struct.pack(">IIBBBBB", 2**32 - 1, 20, 8, 0, 0, 0, 0)
    whole = png_bomb(20)
    checked = b"IHDR" + head
    collection.file(3).unlink()
    collection.file(3).with_suffix(".png").write_bytes(
        whole[:12] + checked + struct.pack(">I", zlib.crc32(checked)) + whole[33:]
    )
    index = ingested(collection, tmp_path / "index")
    assert (index.loc["im3", "verdict"], index.loc["im3", "width"]) == ("corrupt", 0)
    assert (index["verdict"] == "ok").sum() == len(index) - 1


@pytest.mark.parametrize("cache", ["", "cache"])
def test_a_path_that_is_no_text_loses_its_own_images_and_no_others(collection, tmp_path, cache):
    folder = os.fsencode(collection.root)
    os.mkdir(folder + b"/b\xfcro")  # noqa: PTH102 - a name in Latin-1
    os.rename(folder + b"/im2.jpg", folder + b"/b\xfcro/im2.jpg")  # noqa: PTH104
    os.rename(folder + b"/im5.jpg", folder + b"/b\xfcro/im5.jpg")  # noqa: PTH104
    collection.file(5).write_bytes(collection.file(0).read_bytes())
    Path(os.fsdecode(folder + b"/\xff.jpg")).write_bytes(b"in no table")
    config = IngestConfig(max_lost_pct=100, cache=cache and str(tmp_path / cache))
    index = ingested(collection, tmp_path / "index", config=config)
    assert index.loc["im2", ["verdict", "uri"]].tolist() == ["unreadable", f"{collection.root}/b\\udcfcro/im2.jpg"]
    assert index.loc["im2", "reason"] == "its path is not UTF-8 text; rename the file or its folder"
    assert index.loc["im5", "verdict"] == "unreadable"  # the first of two files of this name
    assert (index["verdict"] == "ok").sum() == len(index) - 2
    assert "the first is \\udcff" in json.loads((tmp_path / "index" / "ingest.json").read_text())["notes"][0]
    with pytest.raises(DataError, match=r"b\\udcfcro is not UTF-8 text; rename the folder"):
        ingested(collection, tmp_path / "other", os.fsdecode(folder + b"/b\xfcro"), config=config)
