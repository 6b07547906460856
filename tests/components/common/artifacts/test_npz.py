import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.npz import read_npz

ARRAYS = {
    "text": np.array(["a", "bcd"]),
    "numbers": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "one": np.array(3.5),
    "none": np.zeros((0, 3)),
}


def header(shape, descr="<f8"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"shape": shape, "fortran_order": False, "descr": descr})
    return buffer.getvalue()


def packed(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_of_numpy(save, tmp_path):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    for name, expected in ARRAYS.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype


def test_an_array_that_promises_terabytes_is_refused_before_it_is_made(tmp_path):
    path = packed(tmp_path / "a.npz", [("logit.npy", header((2**40,)) + b"1234")])
    with pytest.raises(ValueError, match=r"'logit\.npy' promises 8796093022208 bytes and has 4"):
        read_npz(path)


def test_a_file_that_unpacks_to_more_than_it_may_is_refused(tmp_path):
    path = packed(tmp_path / "a.npz", [("zeros.npy", header((2**20,)) + bytes(2**23))])
    assert path.stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"unpacks to 83.* bytes, expected 1000000 at most"):
        read_npz(path, most=10**6)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("a.npy", b"text")], "'a.npy' is not an array of numbers or text"),
        ([("a.npy", header((1,), "|O") + b"12345678")], "is not an array"),
        ([("a.npy", header((1,), [("x", "<f8")]) + b"12345678")], "is not an array"),
        ([("a.npy", header((-1,)) + b"")], "is not an array"),
        ([("a.npy", header((1,)).replace(b"(1,)", b"(1,\xab") + b"12345678")], "is not an array"),
        ([("a.npy", header((2,)) + b"12345678")], "promises 16 bytes and has 8"),
        ([("a.npy", header((1,)) + b"12345678"), ("a.npy", header((1,)) + b"12345678")], "occurs twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_not_an_array_is_named(members, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        read_npz(packed(tmp_path / "a.npz", members))


def test_a_missing_file_stays_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "a.npz")


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_damage_is_one_line_or_harmless(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "a.npz"
    np.savez_compressed(path, **ARRAYS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        read_npz(path, most=10**6)
    except ValueError as error:
        assert "\n" not in str(error)
