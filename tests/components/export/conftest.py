"""How a client asks a model server: the code of docs/how-to/serving.md, and the V2 body that the page has in words."""

import json
import re
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.common.bundle import layout

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "serving.md"


def v2_binary(images):
    """Body and headers with binary data, as Triton takes them."""
    data = b"".join(struct.pack("<I", len(one)) + one for one in images)
    size = {"binary_data_size": len(data)}
    tensor = {"name": "image_bytes", "shape": [len(images)], "datatype": "BYTES", "parameters": size}
    outputs = [{"name": name, "parameters": {"binary_data": False}} for name in layout.OUTPUTS]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + data, headers


@pytest.fixture(scope="session")
def asking():
    """The page's functions, and `v2_binary`."""
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    names = {}
    exec("\n".join(code), names)
    return SimpleNamespace(**{name: value for name, value in names.items() if callable(value)}, v2_binary=v2_binary)
