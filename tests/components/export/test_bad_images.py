"""Images nobody should send: each is a flagged row, in the graph itself, and its neighbours are untouched."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from components.common.bundle.selftest import generated_image
from components.common.imaging import inspect


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bad_images():
    rgb = generated_image(1, 150, 200)
    image = Image.fromarray(rgb)
    good = encode(image, "JPEG", quality=90)
    png = bytearray(encode(image, "PNG"))
    huge_png = bytearray(png)
    huge_png[16:24] = (20000).to_bytes(4, "big") * 2
    huge_jpeg = bytearray(good)
    at = huge_jpeg.index(b"\xff\xc0")
    huge_jpeg[at + 5 : at + 9] = (30000).to_bytes(2, "big") * 2
    turned = Image.Exif()
    turned[0x0112] = 6
    transparent = image.copy()
    transparent.putalpha(128)
    deep = cv2.imencode(".png", rgb.astype(np.uint16) * 257)[1].tobytes()
    whole = bytes(png)
    png[len(png) // 2 : len(png) // 2 + 40] = bytes(40)
    return {
        "zero bytes": (b"", "not_an_image"),
        "text": (b"GET / HTTP/1.1", "not_an_image"),
        "gif": (encode(image, "GIF"), "not_an_image"),
        "three bytes": (b"\xff\xd8\xff", "corrupt"),
        "header only": (good[:30], "corrupt"),
        "half": (good[: len(good) // 2], "corrupt"),
        "end marker lost": (good[:-2], "corrupt"),
        "png edited": (bytes(png), "corrupt"),
        "png cut": (bytes(png[:30]), "corrupt"),
        "png without its end": (whole[:-12], "corrupt"),
        "png transparent": (encode(transparent, "PNG"), "unsupported"),
        "png palette transparent": (encode(image.convert("P"), "PNG", transparency=3), "unsupported"),
        "png 16 bits": (deep, "unsupported"),
        "png turned": (encode(image, "PNG", exif=turned), "unsupported"),
        "cmyk": (encode(image.convert("CMYK"), "JPEG"), "unsupported"),
        "arithmetic coding": (good.replace(b"\xff\xc0", b"\xff\xc9", 1), "unsupported"),
        "lossless": (good.replace(b"\xff\xc0", b"\xff\xc3", 1), "corrupt"),
        "strip": (encode(image.resize((16 * 41, 16)), "JPEG"), "unsupported"),
        "one pixel": (encode(image.resize((1, 1)), "JPEG"), "too_small"),
        "400 megapixels png": (bytes(huge_png), "too_large"),
        "900 megapixels jpeg": (bytes(huge_jpeg), "too_large"),
    }


def test_every_bad_image_is_flagged_and_its_neighbours_are_untouched(bundle, kit):
    cases = bad_images()
    good = [kit.jpeg(i) for i in range(len(cases))]
    mixed = [data for pair in zip(good, (data for data, _ in cases.values()), strict=True) for data in pair]
    reply = bundle.predict(mixed)
    assert dict(zip(cases, reply.status[1::2].tolist(), strict=True)) == {name: s for name, (_, s) in cases.items()}
    assert (reply.decision[1::2] == -1).all()
    assert (reply.probability[1::2] == -1).all()
    assert (reply.logit[1::2] == 0).all()
    assert (reply.status[::2] == "ok").all()
    np.testing.assert_allclose(reply.logit[::2], bundle.predict(good).logit, atol=1e-5)
    assert (reply.policy_id == bundle.policy.policy_id).all()


@pytest.mark.parametrize("n", [0, 1, 7, 33])
def test_any_batch_size(n, bundle, kit):
    reply = bundle.predict([kit.jpeg(3)] * n)
    assert len(reply.decision) == n
    assert len(bundle.predict_pixels(np.zeros((n, 40, 50, 3), np.uint8)).decision) == n
    np.testing.assert_allclose(reply.logit, bundle.predict([kit.jpeg(3)]).logit[0], atol=1e-5)


def test_readable_kinds_give_the_answer_of_their_pixels(bundle):
    rgb = generated_image(2, 150, 200)
    image = Image.fromarray(rgb)
    same = [encode(image, "PNG"), encode(image, "PNG", optimize=True)]
    expected = bundle.predict_pixels(rgb[None]).logit[0]
    np.testing.assert_allclose(bundle.predict(same).logit, expected, atol=1e-5)
    grey = image.convert("L")
    expected = bundle.predict_pixels(np.asarray(grey.convert("RGB"))[None]).logit[0]
    np.testing.assert_allclose(bundle.predict([encode(grey, "PNG")]).logit, expected, atol=1e-5)
    progressive = encode(image, "JPEG", quality=95, progressive=True)
    assert bundle.predict([progressive]).status[0] == "ok"


def test_pixels_out_of_bounds_are_flagged(bundle):
    assert bundle.predict_pixels(np.zeros((2, 3, 400, 3), np.uint8)).status.tolist() == ["too_small"] * 2


def test_the_graph_refuses_what_ingest_refuses_and_reads_what_it_accepts(bundle, kit):
    cases = [data for data, _ in bad_images().values()] + [kit.jpeg(i, 61 + i, 75) for i in range(5)]
    accepted = [inspect.inspect(data, "image").verdict == "ok" for data in cases]
    assert (bundle.predict(cases).decision != -1).tolist() == accepted
