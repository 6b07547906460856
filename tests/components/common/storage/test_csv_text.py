"""A plain text is read by pyarrow, any other by the csv module; both give the same cells."""

import re

import pandas as pd
import pytest

from components.common.storage.csv_text import csv_cells


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n,\n#3,4\n",
        "a,b\r\n1,2\r\n\r\n3,4",
        "a,b\r1, 2\r3,\r",
        "a,b\r\n1,2\r\n\r3,4\n",
        "a,b,\n1,2\n3,4,\n",
        "a,b\n  \n1,2\n# a remark\n3,N/A\n",
        "a,b\n1,'2\n3,4'\n",
        "a\n1\n\n3\n",
        ",a,b\n1,2,3\n4,5,6\n",
        "a,b\n1,2,3\n4,5,6\n",
    ],
)
def test_a_text_without_quotes_is_read_as_one_with_them(text):
    """The first has a reader of its own, which is faster."""
    quoted = re.sub(r"[^,\r\n]+", r'"\g<0>"', text, count=1)
    plain, numbers = csv_cells("t.csv", text.encode(), len, [])
    cells, expected = csv_cells("t.csv", quoted.encode(), len, [])
    pd.testing.assert_frame_equal(plain, cells)
    assert numbers.tolist() == expected.tolist()
