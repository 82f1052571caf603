from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")
svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed: likewise")

from mien.models.torch import create  # noqa: E402 - after the checks
from mien.models.torch.networks.svm import FeatureSVM  # noqa: E402
from mien.models.torch.registry import shrunk  # noqa: E402
from mien.runs.export import TOLERANCE, to_onnx  # noqa: E402
from mien.train.svm import fit_svm  # noqa: E402
from mien.types import InputError  # noqa: E402

OPTIONS = shrunk("vgg19-svm")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("pool", ["average", "flatten"])
def test_the_layer_decides_as_scikit_learn_does(classes: int, pool: str) -> None:
    torch.manual_seed(0)
    net, spec = create("vgg19-svm", classes=classes, pool=pool, group=2, **OPTIONS)
    assert isinstance(net, FeatureSVM)
    net.train()
    labels = np.arange(24) % classes
    size = spec.preprocess.size
    pixels = torch.randn(24, 3, size, size) + torch.from_numpy(labels)[:, None, None, None]
    fit_svm(net, spec, [(pixels[:10], labels[:10]), (pixels[10:], labels[10:])])
    assert net.training
    net.eval()
    with torch.no_grad():
        features = net.pool(net.features(pixels)).flatten(1).double().numpy()
        found = net(pixels).numpy()
    std = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(std == 0, 1, std)
    model = svm.LinearSVC(random_state=0, max_iter=20_000).fit(scaled, labels)
    assert (found.argmax(axis=1) == model.predict(scaled)).all()
    expected = model.decision_function(scaled)
    np.testing.assert_allclose(found[:, 1] if classes == 2 else found, expected, atol=1e-3)
    assert (found.argmax(axis=1) == labels).mean() > 0.9


def test_a_network_that_was_never_trained_keeps_what_images_differ_in(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, spec = create("vgg19-svm", classes=3, **{**OPTIONS, "channels": (64,) * 5})
    assert isinstance(net, FeatureSVM)
    labels, size = np.arange(24) % 3, spec.preprocess.size
    noise = np.random.default_rng(0).random((24, 3, size, size)) * 85
    bright = noise * (1 + labels[:, None, None, None])
    pixels = torch.from_numpy(spec.preprocess.normalise(bright.astype(np.float32)))
    fit_svm(net, spec, [(pixels, labels)])
    to_onnx(net.eval(), spec.preprocess, ["logits"], tmp_path / "svm.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "svm.onnx"))
    with torch.no_grad():
        expected = net(pixels).numpy()
    found = session.run(None, {"pixels": pixels.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


def test_a_class_without_images_is_refused() -> None:
    net, spec = create("vgg19-svm", classes=3, **OPTIONS)
    with pytest.raises(InputError, match=r"expected images of all 3 classes, none of \[1, 2\]"):
        fit_svm(net, spec, [(torch.zeros(2, 3, 64, 64), np.zeros(2, dtype=np.int64))])


def test_every_network_with_one_last_layer_takes_an_svm_and_keeps_its_other_weights() -> None:
    torch.manual_seed(0)
    net, spec = create("gimefive-13", classes=3, **shrunk("gimefive-13"))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    labels, size = np.arange(30) % 3, spec.preprocess.size
    bright = 2 * torch.from_numpy(labels)[:, None, None, None]
    pixels = torch.randn(30, spec.preprocess.channels, size, size) / 4 + bright
    fit_svm(net, spec, [(pixels, labels)])
    changed = {n for n, v in net.state_dict().items() if not torch.equal(v, before[n])}
    assert len(changed) == 2, changed
    assert len({name.rpartition(".")[0] for name in changed}) == 1
    with torch.no_grad():
        assert (net.eval()(pixels).argmax(dim=1).numpy() == labels).mean() > 0.9


def test_a_network_of_two_last_layers_or_without_a_bias_is_refused() -> None:
    net, spec = create("crossvit-b", classes=2, **shrunk("crossvit-b"))
    with pytest.raises(InputError, match="expected one last linear layer"):
        fit_svm(net, spec, [])
    net, spec = create("vgg19-svm", classes=3, **OPTIONS)
    net.svm = torch.nn.Linear(512, 3, bias=False)  # where would the intercept stand?
    with pytest.raises(InputError, match="a last layer with a bias"):
        fit_svm(net, spec, [])


def test_each_group_of_vgg19_gives_features() -> None:
    for group, width in enumerate((64, 128, 256, 512, 512), start=1):
        with torch.device("meta"):
            net, spec = create("vgg19-svm", classes=7, group=group)
        assert isinstance(net, FeatureSVM)
        assert net.svm.in_features == width
        assert spec.layers[0].grid == (224 >> group, 224 >> group)
