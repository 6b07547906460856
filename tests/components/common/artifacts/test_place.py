"""Nothing is written among images."""

import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.place import refuse_inside
from components.common.runtime.errors import ConfigError


@pytest.mark.parametrize("out", ["images", "images/work", "images/a/b/../work", "link/work"])
@pytest.mark.parametrize("root", ["{0}/images", " {0}/images/", "file://{0}/images", "{0}/link"])
def test_an_output_inside_an_image_root_is_refused(tmp_path, out, root):
    (tmp_path / "images" / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "images")
    with pytest.raises(ConfigError, match=r"lies inside the image root .*; allowed: a folder outside"):
        refuse_inside(tmp_path / out, ["gs://bucket/images", root.format(tmp_path)])


def test_an_output_beside_or_above_an_image_root_is_accepted(tmp_path):
    (tmp_path / "images").mkdir()
    for out in ("work", "images-of-mine", "."):
        refuse_inside(tmp_path / out, [str(tmp_path / "images"), "s3://bucket/images", ""])


def test_no_step_writes_into_a_folder_of_images(tmp_path):
    for name in ("a.jpg", "b.PNG", "c.dcm", "notes.txt"):
        (tmp_path / name).touch()
    with (
        pytest.raises(ConfigError, match=r"lies in .*, a folder of images"),
        new_artifact(tmp_path / "x" / "y", "k", {}),
    ):
        pass
    assert not (tmp_path / "x").exists()
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).touch()
    with new_artifact(tmp_path / "x" / "y", "k", {}):
        pass
