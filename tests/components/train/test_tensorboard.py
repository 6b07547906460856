from components.common.artifacts.tfrecord import read_tfrecord
from components.train.tensorboard import scalar_writer


def test_scalars_are_an_event_file_one_step_an_epoch(tmp_path):
    from tensorflow.core.util.event_pb2 import Event

    write = scalar_writer(tmp_path)
    write({"epoch": 1, "loss": 0.5, "val_roc_auc": 0.75, "one_class": False})
    write({"epoch": 2, "loss": 0.25, "val_roc_auc": 0.875, "one_class": True})
    (path,) = tmp_path.iterdir()
    assert "tfevents" in path.name
    first, *events = (Event.FromString(data) for data in read_tfrecord(path))
    assert first.file_version == "brain.Event:2"
    assert [event.step for event in events] == [1, 2]
    values = {value.tag: value.simple_value for value in events[1].summary.value}
    assert values == {"training/loss": 0.25, "validation/roc_auc": 0.875, "training/one_class": 1.0}


def test_a_second_writer_starts_the_file_again(tmp_path):
    for _ in range(2):
        scalar_writer(tmp_path)({"epoch": 1, "loss": 0.5})
    (path,) = tmp_path.iterdir()
    assert len(list(read_tfrecord(path))) == 2
