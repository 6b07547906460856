"""One image: its record, or why there is none; and how many hold pixels at a time."""

import threading
from dataclasses import replace

import pytest

from components.common.cores import usable_cores
from components.common.record_schema import decode_record
from components.records import prepare as step
from components.records.config import RecordsConfig
from components.records.prepare import loss, prepare
from components.records.sources import read_sources

CONFIG, WEIGHTS = RecordsConfig(record_size=30), {"0": 1.0, "1": 4.0}


@pytest.fixture
def sources(data):
    return read_sources(data().artifact())


def test_a_loss_is_told_alike_by_the_build_and_by_the_check(sources, tmp_path):
    one = sources["train"][0]
    cases = {
        "": one,
        "corrupt: planted": replace(one, verdict="corrupt", reason="planted"),
        "missing": replace(one, verdict="missing"),
        f"missing: {tmp_path}/no.jpg is gone since ingest": replace(one, uri=f"{tmp_path}/no.jpg"),
        f"changed: {one.uri} has other bytes than ingest saw; run ingest again": replace(one, sha256="0" * 64),
    }
    assert [loss(case) for case in cases.values()] == list(cases)
    assert [prepare(case, CONFIG, WEIGHTS) for case in cases.values()][1:] == list(cases)[1:]
    unreadable = replace(one, uri=str(tmp_path))
    assert loss(unreadable) == prepare(unreadable, CONFIG, WEIGHTS)
    assert loss(unreadable).startswith("unreadable: ")


def test_a_record_holds_the_image_small_and_validation_holds_it_as_it_is(sources):
    train, val = (decode_record(prepare(sources[name][0], CONFIG, WEIGHTS)) for name in ("train", "val"))
    assert (train.height, train.width, train.weight) == (30, 40, WEIGHTS[str(sources["train"][0].label)])
    assert (val.height, val.width) == (60, 80)


def test_only_as_many_as_there_are_cores_hold_pixels(sources):
    done = []
    threads = [
        threading.Thread(target=lambda one=one: done.append(prepare(one, CONFIG, WEIGHTS)))
        for one in sources["train"][:4]
    ]
    for _ in range(usable_cores()):
        step._DECODING.acquire()
    for thread in threads:
        thread.start()
    assert isinstance(prepare(sources["val"][0], CONFIG, WEIGHTS), bytes)  # kept as it is, so it need not wait
    threads[0].join(0.5)
    assert done == []
    for _ in range(usable_cores()):
        step._DECODING.release()
    for thread in threads:
        thread.join()
    assert len(done) == 4
