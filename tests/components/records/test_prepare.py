"""One image: its record, or why there is none; and how many hold pixels at a time."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.record import decode_record
from components.common.runtime.resources import usable_cores
from components.records.config import RecordsConfig
from components.records.prepare import Preparer
from components.records.sources import read_sources

CONFIG, WEIGHTS = RecordsConfig(record_size=30), {"0": 1.0, "1": 4.0}


def prepare(source, config=CONFIG, weights=WEIGHTS):
    return Preparer(config, weights)(source)


@pytest.fixture
def sources(data):
    return read_sources(data().artifact())


def test_a_lost_image_says_why(sources, tmp_path):
    one = sources["train"][0]
    cases = {
        "corrupt: planted": replace(one, verdict="corrupt", reason="planted"),
        "missing": replace(one, verdict="missing"),
        f"missing: {tmp_path}/no.jpg no longer exists; ingest read it": replace(one, uri=f"{tmp_path}/no.jpg"),
        f"changed: {one.uri} has other bytes than ingest saw; run ingest again": replace(one, sha256="0" * 64),
    }
    assert [prepare(case) for case in cases.values()] == list(cases)
    unreadable = replace(one, uri=str(tmp_path))
    assert prepare(unreadable).startswith("unreadable: ")


def test_a_record_holds_the_image_small_and_validation_holds_it_as_it_is(sources):
    train, val = (decode_record(prepare(sources[name][0], CONFIG, WEIGHTS)) for name in ("train", "val"))
    assert (train.height, train.width, train.weight) == (30, 40, WEIGHTS[str(sources["train"][0].label)])
    assert (val.height, val.width) == (60, 80)


def test_the_record_of_a_dicom_file_is_that_of_its_jpeg(sources, dicom_file, tmp_path):
    for source in (sources["train"][0], sources["val"][0]):
        (tmp_path / "a.dcm").write_bytes(dicom_file(Path(source.uri).read_bytes(), fragments=2))
        assert prepare(replace(source, uri=str(tmp_path / "a.dcm"))) == prepare(source)


def test_what_ingest_has_decoded_is_not_decoded_again_where_its_bytes_are_kept(sources, tmp_path):
    noise = bytes(range(256))  # no decoder would take it
    (tmp_path / "noise").write_bytes(noise)
    source = replace(sources["train"][0], uri=str(tmp_path / "noise"), sha256=sha256_bytes(noise))
    for side in (60, 61):
        record = decode_record(prepare(source, CONFIG.model_copy(update={"record_size": side}), WEIGHTS))
        assert (record.image, record.height, record.width) == (noise, 60, 80)
    for other, size in ((source, 59), (replace(source, plain=False), 60)):
        assert prepare(other, CONFIG.model_copy(update={"record_size": size}), WEIGHTS).startswith("corrupt: ")


def test_only_as_many_as_there_are_cores_hold_pixels(sources):
    done, preparer = [], Preparer(CONFIG, WEIGHTS)
    threads = [threading.Thread(target=lambda one=one: done.append(preparer(one))) for one in sources["train"][:4]]
    for _ in range(usable_cores()):
        preparer.decoding.acquire()
    for thread in threads:
        thread.start()
    assert isinstance(preparer(sources["val"][0]), bytes)  # kept as it is, so it need not wait
    threads[0].join(0.5)
    assert done == []
    for _ in range(usable_cores()):
        preparer.decoding.release()
    for thread in threads:
        thread.join()
    assert len(done) == 4
