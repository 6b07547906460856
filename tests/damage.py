"""Damage for documents, by a seeded generator: bytes, pieces of text, JSON values, arrays."""

import copy
import io
import json
import warnings
import zipfile

import numpy as np
import yaml

ODD = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, -(10**18), 0.5, 1e308, -1e-320, "", " ", "a", "0", "NaN",
    "\0", "\x1b[2J", "\u202e", "\ud800", "=1+1", "<b>", "../..", "/etc/passwd", "gs://", "é" * 300, "\n", [], {}, [[]],
    [None], {"": ""}, {"a": {"b": []}}, ["a"] * 200, list(range(50)),
]  # fmt: skip
RAW = [
    "NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 70 + "]" * 70, "[" * 100_000, '{"a":1,"a":2}', "0x10",
    "'a'", '"\\ud800"', "1_000", "~", "!!python/object/apply:os.system [ls]", "&a [*a]", "2026-11-28", ".inf", "? a",
    "- b", "\t",
]  # fmt: skip
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def parent_of(value, path):
    for key in path[:-1]:
        value = value[key]
    return value


def damaged_value(rng, value):
    """A JSON value with one to three places changed."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.choice(list(places(value))[1:] or [()])
        if not at:
            return copy.deepcopy(rng.choice(ODD))
        parent, key = parent_of(value, at), at[-1]
        action = rng.randrange(6)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(parent, dict):
            parent[rng.choice(("", "extra", "schema", key + " ", key.upper()))] = parent.pop(key)
        elif action == 2 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = rng.choice((-parent[key], parent[key] * 2, parent[key] + 1, str(parent[key])))
        elif action == 3:
            parent[key] = [parent[key]] if rng.random() < 0.5 else {"value": parent[key]}
        else:
            parent[key] = copy.deepcopy(rng.choice(ODD))
    return value


def damaged_text(rng, text):
    """A text with a piece of another kind somewhere."""
    at = rng.randrange(len(text) + 1)
    if rng.random() < 0.1:
        return text[:at] + BOMB + text[at:]
    values = [i for i, mark in enumerate(text) if mark in ":,[{"]
    at = rng.choice(values) + 1 if values and rng.random() < 0.8 else at
    end = at + rng.choice((0, 0, 1, 5, 20))
    return text[:at] + " " + rng.choice(RAW) + text[end:]


def damaged_bytes(rng, data):
    """Bytes flipped, cut, doubled or put in."""
    data, at = bytearray(data), rng.randrange(len(data) + 1)
    action = rng.randrange(6)
    if action == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif action == 1:
        del data[at:]
    elif action == 2:
        del data[at : at + rng.randrange(1, 40)]
    elif action == 3:
        data[at:at] = data[at : at + rng.randrange(1, 400)]
    elif action == 4:
        data[at:at] = rng.randbytes(rng.randrange(1, 20))
    else:
        for _ in range(rng.randrange(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def one_number(rng, array):
    """One number of an array replaced."""
    if array.dtype.kind not in "fiu" or not array.size:
        return array[::-1]
    out = array.astype(np.float64)
    out.flat[rng.randrange(out.size)] = rng.choice((np.nan, np.inf, -np.inf, 256, 0.5, -1, 1e300))
    return out


ARRAYS = (
    lambda rng, array: array[: rng.randrange(len(array) + 1)] if array.ndim else array,
    lambda rng, array: array.reshape(1, -1),
    lambda rng, array: array.astype("S"),
    lambda rng, array: array.astype(rng.choice(("U1", "S2", "U40"))),
    lambda rng, array: np.array(rng.choice((0, 1.5, "x", True))),
    one_number,
    lambda rng, array: np.concatenate([array.ravel(), array.ravel()[:1]]),
    lambda rng, array: array.astype(np.complex128) if array.dtype.kind in "fiu" else array[::-1],
    lambda rng, array: array.astype("M8[s]") if array.dtype.kind in "iu" else array.ravel()[::2],
)


def header(shape, dtype="<f8"):
    """The beginning of an array that promises a shape."""
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape})
    text += " " * (63 - (len(text) + 10) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def damaged_npz(rng, data):
    if rng.random() < 0.5:
        return damaged_bytes(rng, data)
    with np.load(io.BytesIO(data)) as found:
        arrays = {name: found[name] for name in found.files}
    name = rng.choice(list(arrays))
    out = io.BytesIO()
    action = rng.randrange(6)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, array in arrays.items():
            member = io.BytesIO()
            if one == name and action == 0:
                continue
            if one == name and action == 1:
                member.write(header(rng.choice(((10**13,), (2**62, 4), (-1,), (), (0,), (3, 10**9)))) + b"\0" * 64)
            elif one == name and action == 2:
                np.save(member, np.array([{"a": 1}], dtype=object), allow_pickle=True)
            elif one == name:
                with np.errstate(all="ignore"):
                    np.save(member, rng.choice(ARRAYS)(rng, array), allow_pickle=False)
            else:
                np.save(member, array, allow_pickle=False)
            archive.writestr(f"{one}.npy" if rng.random() < 0.99 else f"../{one}", member.getvalue())
            if one == name and action == 3:
                with warnings.catch_warnings(action="ignore"):  # twice on purpose
                    archive.writestr(f"{one}.npy", member.getvalue())
    return out.getvalue()


def damaged_member(rng, data, member):
    """An archive in which one document is damaged."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name in archive.namelist():
            content = archive.read(name)
            written.writestr(name, damaged(rng, name, content) if name == member else content)
    return out.getvalue()


def damaged(rng, name, data):
    """One input: the bytes of a file."""
    if name.endswith(".npz"):
        return damaged_npz(rng, data)
    how = rng.random()
    if name.endswith(".keras") and how > 0.4:
        return damaged_member(rng, data, "config.json")
    if how < 0.2 or name.endswith((".parquet", ".keras")):
        return damaged_bytes(rng, data)
    text = data.decode()
    if how < 0.4 or name.endswith(".csv"):
        return damaged_text(rng, text).encode("utf-8", "surrogatepass")
    lines = text.splitlines() if name.endswith(".jsonl") else [text]
    at = rng.randrange(len(lines))
    value = damaged_value(rng, yaml.safe_load(text) if name.endswith((".yaml", ".yml")) else json.loads(lines[at]))
    try:
        lines[at] = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    except (ValueError, TypeError):
        return damaged_bytes(rng, data)
    return "\n".join(lines).encode("utf-8", "surrogatepass")
