import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from components.train import head_warmup
from components.train.class_balance import loss_weights
from components.train.network import build_network
from components.train.records import load_split
from components.train.steps import make_forward

CLASSES = {"bkl": 0, "mel": 1, "nv": 0}


@pytest.fixture(scope="module")
def data(records):
    return load_split(records, "train", (32, 40), "memory")


def probed(config, data, monkeypatch):
    """The network after its warm-up, and how many images its backbone was shown."""
    shown, batches = [], head_warmup.plain_batches

    def counted(*arguments):
        for batch in batches(*arguments):
            shown.append(len(batch))
            yield batch

    monkeypatch.setattr(head_warmup, "plain_batches", counted)
    keras.utils.set_random_seed(1)
    network = build_network(config, CLASSES)
    before = [v.numpy() for v in network.features.variables]
    head_warmup.warm_up_head(config, network, data, loss_weights(config.class_balance, data.rows.label))
    for old, new in zip(before, network.features.variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    return network, sum(shown)


@pytest.mark.parametrize("epochs", [1, 20])
def test_however_many_epochs_the_backbone_sees_each_image_once(epochs, tiny, data, monkeypatch):
    network, shown = probed(tiny(head_epochs=epochs), data, monkeypatch)
    assert shown == len(data.rows) == 96
    assert np.abs(network.head.get_weights()[0]).max() > 0


def test_the_probe_comes_near_the_logistic_regression_on_the_same_features(tiny, data, monkeypatch):
    config = tiny(head_epochs=600, class_balance="none", weight_decay=0.0)
    network, _ = probed(config, data, monkeypatch)
    images = [np.stack([data.images.get(i) for i in range(96)])]
    features = make_forward(network.features)(images)
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-3)
    best = LogisticRegression(C=np.inf, max_iter=5000).fit(scaled, data.rows.label)
    ours = 1 / (1 + np.exp(-make_forward(network.scorer)(images)[:, 0]))
    losses = [log_loss(data.rows.label, p) for p in (ours, best.predict_proba(scaled)[:, 1])]
    constant = log_loss(data.rows.label, np.full(96, data.rows.label.mean()))
    assert losses[0] < 0.5 * constant
    assert losses[0] > losses[1] - 1e-6  # nothing can be better on these features
