"""Reading a SavedModel without TensorFlow: what two readers could see differently is refused."""

import pytest

from components.common.artifacts.protobuf_wire import delimited, varint
from components.common.bundle.saved_model import read_saved_model
from components.common.runtime.errors import ArtifactError


def message(**fields):
    """A message from `f3=b"..."`, in this order; lists repeat a field."""
    out = b""
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            out += delimited(int(name[1:]), value)
    return out


NODE = message(f1=b"a", f2=b"Identity", f3=[b"b:0", b"^c"])
CALL = message(f1=b"call", f2=b"If", f5=[
    message(f1=b"then", f2=message(f10=message(f1=b"one", f2=message(f1=b"g", f2=message(f10=message(f1=b"two")))))),
    message(f1=b"branches", f2=message(f1=message(f9=[message(f1=b"three"), message(f1=b"four")]))),
])  # fmt: skip
FUNCTION = message(f1=message(f1=b"one", f2=[message(f1=b"x"), message(f1=b"y")]), f3=[NODE])
META = message(f2=message(f1=[NODE, CALL], f2=message(f1=FUNCTION)), f3=message(f1=b"path:0", f3=b"call"))


def written(folder, data):
    (folder / "saved_model.pb").write_bytes(data)
    return folder


def test_nodes_functions_and_calls_are_found_however_deep(tmp_path):
    model = read_saved_model(written(tmp_path, message(f2=META)))
    assert model.operations() == ["Identity", "If"]
    first, call = model.nodes
    assert (first.name, first.inputs, first.functions) == ("a", ("b:0", "^c"), ())
    assert call.functions == ("one", "two", "three", "four")
    (function,) = model.functions
    assert (function.name, function.arguments, function.nodes) == ("one", ("x", "y"), (first,))
    assert (model.filename, model.restore) == ("path:0", "call")


def long_key(field):
    """The same key with a bit above the 32nd, which readers that cut at 32 bits do not see."""
    return varint(field << 3 | 2 | 1 << 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "0 graphs"),
        (b"\xff" * 40, "longer than 64 bits"),
        (b"\x12\xff\x7f", "longer than the file"),
        (message(f2=b""), "no operations"),
        (b"not protobuf", ""),
        (message(f2=[META, META]), "2 graphs"),
        (message(f2=message(f2=[message(f1=NODE)] * 2)), "field 2 is there 2 times"),
        (message(f2=message(f2=message(f1=message(f1=b"a", f2=[b"Identity", b"SaveV2"])))), "field 2 is there 2 times"),
        (message(f2=message(f2=message(f1=NODE) + long_key(1) + b"\x00")), "longer than 32 bits"),
        (message(f2=message(f2=message(f1=NODE) + b"\x0b\x0c")), "wire type 3"),
        (message(f2=message(f2=message(f1=NODE) + b"\x0d\x00")), "longer than the file"),
        (message(f2=message(f2=message(f1=message(f1=b"a", f2=b"\xff")))), "utf-8"),
    ],
)
def test_what_tensorflow_would_not_write_is_refused(data, reason, tmp_path):
    with pytest.raises(ArtifactError, match=rf"saved_model\.pb: not a SavedModel \(.*{reason}"):
        read_saved_model(written(tmp_path, data))


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(ArtifactError, match=r"saved_model\.pb: no such file; expected a SavedModel"):
        read_saved_model(tmp_path)
