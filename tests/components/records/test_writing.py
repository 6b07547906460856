"""The bytes of a shard are pinned: whoever changes them changes what is trained on."""

import struct

import cv2
import numpy as np
import pytest
import simplejpeg

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import sha256_bytes
from components.common.imaging.inspect import inspect
from components.common.imaging.pixels import encode_jpeg
from components.common.runtime.events import Progress
from components.records.config import RecordsConfig
from components.records.integrity import LossLog
from components.records.prepare import Source
from components.records.writing import prepared, write_split

# Of the shard below, by these codecs.
CODECS = {"opencv": "5.0.0", "simplejpeg": "1.9.0"}
DIGEST = "f2ce36b65dbc5dd2522bb3e3f9d797c08a20be9523ee3e5fa5ab51049a7d47b1"
TURNED = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


def picture(step):
    """Waves of whole numbers: the same for every version of every library."""
    y, x, c = np.ogrid[:90, :120, :3]
    return ((x * step + y * y // 7 + 40 * c + (x * y) // (step + 9)) % 199 + 20).astype(np.uint8)


def files():
    """A photograph, one that is kept as it is, a small one, a grey one, one lying on its side, a PNG."""
    yield encode_jpeg(picture(1), 92)
    yield encode_jpeg(picture(2), 92)
    yield encode_jpeg(picture(3)[:30, :30], 92)
    yield simplejpeg.encode_jpeg(picture(4)[..., :1].copy(), 92, "GRAY", "444")
    upright = encode_jpeg(picture(4), 92)
    yield upright[:2] + b"\xff\xe1" + struct.pack(">H", len(TURNED) + 2) + TURNED + upright[2:]
    yield cv2.imencode(".png", picture(5))[1].tobytes()


def sources(folder):
    for i, data in enumerate(files()):
        seen = inspect(data, "")
        assert (seen.verdict, seen.orientation, seen.channels) == ("ok", 6 if i == 4 else 1, 1 if i == 3 else 3)
        path = folder / f"im{i}"
        path.write_bytes(data)
        plain = seen.format == "jpeg" and seen.channels == 3 and seen.orientation == 1
        yield Source(
            f"im{i}",
            f"L{i}",
            f"G{i}",
            "nv",
            i % 2,
            str(path),
            sha256_bytes(data),
            seen.width,
            seen.height,
            len(data),
            "ok",
            "",
            plain=plain,
            exact=i == 1,
        )


def test_the_bytes_of_a_shard_are_those_that_were_pinned(tmp_path):
    made_with = {"opencv": cv2.__version__, "simplejpeg": simplejpeg.__version__}
    if made_with != CODECS:
        pytest.skip(f"the digest is of {CODECS}, other codecs may give other bytes")
    images = list(sources(tmp_path))
    config = RecordsConfig(record_size=37, jpeg_quality=90)
    (shard,) = write_split(
        tmp_path,
        "train",
        prepared(images, config, ClassWeight(9, 2)),
        config.shard_bytes,
        LossLog(),
        Progress("records", 6),
    )
    assert shard.records == len(images) == 6
    assert shard.sha256 == DIGEST
