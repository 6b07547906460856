"""Damaged images and tables by the thousand: no crash, no hang, always a clear verdict.

A few hundred of each in a test run. By hand for as long as one likes, from a seed that the failure names:
`LESIONFLOW_FUZZ_SECONDS=600 pytest tests/components/ingest/test_fuzz.py -s`.
"""

import io
import os
import random
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from components.common.imaging import inspect
from components.common.runtime.errors import DataError
from components.ingest.tables import read_table

SECONDS = float(os.environ.get("LESIONFLOW_FUZZ_SECONDS", "0"))
ROUNDS = 300


def rounds():
    """Seeds, and what the slowest of them took."""
    ends, seed, slowest = time.monotonic() + SECONDS, 0, (0.0, 0)
    while seed < ROUNDS or time.monotonic() < ends:
        began = time.monotonic()
        yield seed
        slowest = max(slowest, (time.monotonic() - began, seed))
        seed += 1
    print(f"{seed} rounds, the slowest {slowest[0]:.3f} s (seed {slowest[1]})")  # noqa: T201 - for the hand


def picture(height=90, width=120):
    noise = np.random.default_rng(0)
    field = cv2.resize(noise.uniform(40, 220, (7, 9, 3)).astype(np.float32), (width, height))
    return np.clip(field + noise.normal(0, 9, field.shape), 0, 255).astype(np.uint8)


def saved(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def images():
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = cv2.imencode(".jpg", picture()[..., 0], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1].tobytes()
    return [
        saved("JPEG", quality=90, exif=exif), saved("JPEG", quality=75, progressive=True), saved("JPEG", optimize=True),
        grey, saved("PNG"), saved("PNG", exif=exif), saved("GIF"),
    ]  # fmt: skip


def damaged(data, chance, others):
    """One to four of: cut, hole, flip, insertion, repetition, splice, a changed length or number."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(data) + 1), chance.choice((1, 2, 4, 16, 256, 512, 4096))
        kind = chance.randrange(9)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == 2:
            data[at : at + size] = chance.randbytes(len(data[at : at + size]))
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 4:
            data[at:at] = chance.randbytes(size)
        elif kind == 5:
            data[at:at] = data[at : at + size] * chance.randint(1, 20)
        elif kind == 6:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            data[at : at + size] = other[start : start + size]
        elif kind == 7:  # lengths, dimensions and tables lie near the front
            near = chance.randrange(min(700, len(data) + 1))
            data[near : near + 2] = chance.choice((b"\0\0", b"\xff\xff", b"\xff\xd9", b"\xff\xda", b"\x7f\xff"))
        else:
            del data[at : at + size]
    return bytes(data)


def test_damaged_images_get_a_verdict_that_decoding_confirms(images):
    verdicts = set()
    for seed in rounds():
        chance = random.Random(seed)
        data = damaged(chance.choice(images), chance, images)
        name = chance.choice(("a.jpg", "a.jpeg", "a.png", "a.gif", "a"))
        seen = inspect.inspect(data, name)
        verdicts.add(seen.verdict)
        assert seen.verdict in ("ok", "corrupt", "mislabelled", "unsupported"), seed
        assert "\n" not in seen.reason and (seen.reason == "") == (seen.verdict == "ok"), seed
        try:
            rgb = inspect.decode_rgb(data)
        except DataError as error:
            assert seen.verdict != "ok", (seed, error)
        else:
            assert seen.verdict in ("ok", "mislabelled"), (seed, seen)
            assert seen.verdict != "ok" or rgb.shape == (seen.height, seen.width, 3), seed
            assert seen.verdict != "ok" or (len(seen.phash) == 16 and seen.thumbnail), seed
    assert verdicts == {"ok", "corrupt", "mislabelled", "unsupported"}


TABLES = (
    "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\nL1,a,nv,histo,45.0,male,back,x\n"
    "L1,b,nv,histo,,female,,x\nL2,c,mel,histo,80,unknown,face,y\n",
    "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\na,1.0,0,0,0,0,0,0,0,0\nb,0,1,0,0,0,0,0,0,0\n",
    "image_id,label,lesion_id\na,1,L1\nb,0,L2\nc,1,\n",
    "image_name,patient_id,sex,age_approx,diagnosis,target\nISIC_1,IP_1,male,45,nv,0\nISIC_2,IP_2,female,50,mel,1\n",
)
NASTY = (
    "", " ", ",", ";", '"', '""', "\n", "\r", "\r\n", "\t", "\0", "../../etc/passwd", "=1+1", "a/b", "x" * 300, "nan",
    "inf", "-1", "121", "1e400", "0x10", "1_0", "image_id", "dx", "UNKNOWN", "True", "é", "\ud800", "1,0", "\x1f\x8b",
    "PK\x03\x04", "\x85", "\u2028", "\N{RIGHT-TO-LEFT OVERRIDE}",
    "\N{ZERO WIDTH SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}",
)  # fmt: skip
UNSAFE = set('\\/:*?"<>|')


def mangled(chance):
    text = chance.choice(TABLES)
    cells = [line.split(",") for line in text.splitlines()]
    for _ in range(chance.randint(0, 2)):
        row = chance.choice(cells[1:] if chance.random() < 0.8 else cells)
        at = chance.randrange(len(row))
        kind = chance.randrange(10)
        if kind == 0 or kind > 5:
            row[at] = chance.choice(NASTY)
        elif kind == 1:
            row.insert(at, chance.choice(NASTY))
        elif kind == 2 and len(row) > 1:
            del row[at]
        elif kind == 3:
            cells.insert(chance.randrange(len(cells) + 1), list(chance.choice(cells)))
        elif kind == 4:
            row[at] += chance.choice(NASTY)
        else:
            row[at] = f'"{row[at]}{chance.choice(NASTY)}"'
    ends = chance.choice(("\n", "\n", "\r\n", "\r", "\n\n"))
    data = ends.join(chance.choice((",", ",", ",", ";", "\t")).join(row) if chance.random() < 0.02 else ",".join(row)
                     for row in cells).encode("utf-8", "surrogatepass")  # fmt: skip
    if chance.random() < 0.3:
        data = damaged(data, chance, [data])[:5000]
    return chance.choice((b"", b"", b"\xef\xbb\xbf")) + data


def test_mangled_tables_are_read_or_refused_in_words(tmp_path):
    path = tmp_path / "table.csv"
    read = refused = 0
    for seed in rounds():
        path.write_bytes(mangled(random.Random(seed)))
        try:
            table = read_table(str(path))
        except DataError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error), seed
            continue
        read += 1
        rows = table.rows
        assert rows["image_id"].is_unique, seed
        assert all(one.isprintable() and not UNSAFE & set(one) and ".." not in one for one in rows["image_id"]), seed
        assert rows["age"].dropna().between(0, 120).all(), seed
        assert set(rows["stated_label"]) <= {-1, 0, 1}, seed
        assert all(one and one.isprintable() for one in rows["lesion_id"]), seed
        assert not rows.drop(columns="age").isna().any(axis=None), seed
        assert all("\n" not in note for note in table.notes), seed
    assert min(read, refused) > ROUNDS // 20, (read, refused)
