"""What images/slim.sh takes out of an environment, and what it must leave in."""

import subprocess
import sys
from pathlib import Path

SLIM = Path(__file__).parents[2] / "images" / "slim.sh"
KEPT = ["nvidia/cuda/x.h", "tensorflow/test/__init__.py", "keras/test/__init__.py", "fontTools/agl.py",
        "fontTools/misc/text.py", "pyarrow/libarrow_python.so.2600", "pandas/__init__.py",
        "botocore/data/endpoints.json", "botocore/data/s3/2006-03-01/service-2.json.gz", "botocore/data/sts/x.json.gz",
        "PIL/_imaging.so", "pyarrow/libarrow_substrait.so.2600"]  # fmt: skip
GONE = ["pandas/tests/test_x.py", "numpy/core/x.h", "kfp/local/io_test.py", "pyarrow/libarrow_flight.so.2600",
        "pyarrow/libarrow_python.so", "pyarrow/libarrow_python.so.2600.1.0", "fontTools/ttLib/x.py",
        "botocore/data/ec2/x.json.gz", "kubernetes/client/x.py", "PIL/_avif.so",
        "pillow.libs/libavif-1.so"]  # fmt: skip


def test_only_what_no_step_reads_goes(tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in (*KEPT, *GONE):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    subprocess.run([SLIM, tmp_path], check=True)
    assert [name for name in KEPT if not (packages / name).exists()] == []
    assert [name for name in GONE if (packages / name).exists()] == []
    assert list(packages.glob("pandas/__pycache__/*.pyc")), "byte-compiled: the root file system is read-only"
