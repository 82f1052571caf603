"""Weights from files and from the hub: what is taken, what starts anew, what is refused."""

from __future__ import annotations

import io
import pickle
import time
import urllib.error
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")
hub = pytest.importorskip("huggingface_hub", reason="it comes with timm")

from safetensors.torch import load_file, save_file  # noqa: E402 - after the check for torch

from mien.models.torch import MODELS, create, names, pretrained  # noqa: E402
from mien.models.torch.conformance import batch, tiny  # noqa: E402
from mien.models.torch.registry import shrunk  # noqa: E402
from mien.types import InputError, ModelError  # noqa: E402


def _module_of(name: str) -> str:
    build = MODELS.get(name).build
    return str(getattr(build, "func", build).__module__)


#: One network of each module, which its others share the loading of weights with.
FAMILIES = list({_module_of(name): name for name in names()}.values())


def saved(net: Any, path: Path) -> Path:
    """The network's tensors as a safetensors file."""
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("name", FAMILIES)
def test_a_state_dict_makes_the_round_trip(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, spec = tiny(name)
    file = saved(net, tmp_path / "net.safetensors")
    torch.manual_seed(2)
    again, loaded = create(name, classes=7, weights=file, **shrunk(name))
    pixels = batch(spec)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(pixels), net(pixels), rtol=0, atol=0)
    assert loaded.weights is not None
    assert loaded.weights.replaced == ()
    assert loaded.weights.tensors == len(net.state_dict())
    assert len(loaded.weights.sha256) == 64


@pytest.mark.parametrize("name", FAMILIES)
def test_a_head_for_other_classes_starts_anew_and_this_is_said(name: str, tmp_path: Path) -> None:
    net, spec = tiny(name, classes=8)
    file = saved(net, tmp_path / "net.safetensors")
    _, loaded = create(name, classes=6, weights=file, **shrunk(name))
    assert loaded.weights is not None
    assert loaded.weights.replaced
    assert all(k.startswith(spec.output_layers) for k in loaded.weights.replaced)
    assert "starts anew" in str(loaded.weights) or "start anew" in str(loaded.weights)


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_torch_files_are_read_wrapped_or_not(wrap: str | None, tmp_path: Path) -> None:
    net, _ = tiny("gimefive-13")
    state = {f"module.{k}": v for k, v in net.state_dict().items()}
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "net.pt")
    _, spec = create("gimefive-13", classes=7, weights=tmp_path / "net.pt", **shrunk("gimefive-13"))
    assert spec.weights is not None
    assert spec.weights.replaced == ()


class Harmful:
    """What a pickle of code looks like to the reader."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit('code was run')",))


def test_a_pickle_of_code_is_refused_and_not_run(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain.pt", tmp_path / "zipped.pt"
    plain.write_bytes(pickle.dumps({"a": Harmful()}))
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(zipped, "w") as new:
        for entry in old.namelist():
            harmful = entry.endswith("data.pkl")
            new.writestr(entry, pickle.dumps({"a": Harmful()}) if harmful else old.read(entry))
    for file in (plain, zipped):
        with pytest.raises(ModelError, match="a torch state dict of tensors only"):
            create("gimefive-13", classes=7, weights=file, **shrunk("gimefive-13"))


def test_files_that_do_not_fit_are_refused_with_the_tensors_named(tmp_path: Path) -> None:
    net, _ = tiny("gimefive-13")
    state = {k: v.contiguous() for k, v in net.state_dict().items()}
    file = tmp_path / "net.safetensors"

    def refused(told: str, name: str = "gimefive-13", changed: dict[str, Any] = state) -> None:
        save_file(changed, file)
        with pytest.raises(ModelError, match=told) as caught:
            create(name, classes=7, weights=file, **shrunk(name))
        assert "\n" not in str(caught.value)

    without = {k: v for k, v in state.items() if k != "stages.0.conv.weight"}
    refused(r"1 missing \(stages\.0\.conv\.weight\)", changed=without)
    refused(r"1 unexpected \(other\)", changed={**state, "other": torch.zeros(1)})
    refused(
        r"1 of another shape \(stages\.0\.conv\.bias\)",
        changed={**state, "stages.0.conv.bias": torch.zeros(3)},
    )
    refused("missing", name="vit-b16")
    refused("missing", name="gimefive-15")
    file.write_bytes(b"not a file of tensors")
    with pytest.raises(ModelError, match="cannot be read as such"):
        create("gimefive-13", classes=7, weights=file)
    with pytest.raises(ModelError, match="no such weights file"):
        create("vit-b16", classes=7, weights=tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="got both"):
        create("vit-b16", classes=7, weights=file, pretrained=True)


def test_a_failed_load_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    net, spec = tiny("gimefive-13")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    other, _ = tiny("gimefive-15")
    with pytest.raises(ModelError):
        pretrained.load_into(net, spec, saved(other, tmp_path / "o.safetensors"))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_a_plain_vgg16_file_starts_the_residual_network(tmp_path: Path) -> None:
    """As a file of torchvision: the convolutions are taken, its dense layers are not."""
    options = shrunk("vgg-residual")
    net, _ = create("vgg-residual", classes=7, **options)
    state = {k: v for k, v in net.state_dict().items() if k.startswith("features.")}
    state["classifier.6.weight"] = torch.zeros(1000, 4)
    file = tmp_path / "vgg16.safetensors"
    save_file(state, file)
    _, spec = create("vgg-residual", classes=7, weights=file, **options)
    assert spec.weights is not None
    assert spec.weights.tensors == 26
    assert {k.split(".")[0] for k in spec.weights.replaced} == {"residual", "dense", "logits"}
    save_file(state | {"dense.fc1.bias": net.state_dict()["dense.fc1.bias"]}, file)
    with pytest.raises(ModelError, match="missing"):  # half of the added layers: a damaged file
        create("vgg-residual", classes=7, weights=file, **options)


def test_torchvisions_vgg_is_translated(tmp_path: Path) -> None:
    net, _ = tiny("vgg16", classes=7)
    state = dict(net.state_dict())
    for ours, theirs in (("pre_logits.fc1", "0"), ("pre_logits.fc2", "3"), ("head.fc", "6")):
        state[f"classifier.{theirs}.weight"] = state.pop(f"{ours}.weight").flatten(1)
        state[f"classifier.{theirs}.bias"] = state.pop(f"{ours}.bias")
    file = tmp_path / "vgg16.pt"
    torch.save(state, file)
    again, spec = create("vgg16", classes=7, weights=file, **shrunk("vgg16"))
    assert spec.weights is not None
    assert spec.weights.replaced == ()
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in again.state_dict().items())


def test_a_plain_transformer_file_starts_the_one_with_the_deeper_head(tmp_path: Path) -> None:
    net, _ = tiny("vit-b16", classes=1000)
    file = saved(net, tmp_path / "vit.safetensors")
    _, spec = create("vit-b16-mlp", classes=7, weights=file, **shrunk("vit-b16-mlp"))
    assert spec.weights is not None
    assert spec.weights.replaced == (
        "head.1.weight",
        "head.1.bias",
        "head.4.weight",
        "head.4.bias",
    )


def test_position_embeddings_follow_the_size(tmp_path: Path) -> None:
    net, _ = tiny("vit-b16")
    file = saved(net, tmp_path / "vit.safetensors")
    _, spec = create("vit-b16", classes=7, weights=file, **{**shrunk("vit-b16"), "size": 64})
    assert spec.patch_grid == (8, 8)
    assert spec.weights is not None
    assert spec.weights.replaced == ()


def test_the_built_in_models_training_file_starts_the_compact_classifier(tmp_path: Path) -> None:
    from mien.models.torch.networks.compact import CompactNet

    torch.save(CompactNet().state_dict(), tmp_path / "best.pt")
    _, spec = create("compact", classes=7, weights=tmp_path / "best.pt")
    assert spec.weights is not None
    assert spec.weights.replaced == ("head.weight", "head.bias")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache of our own, and no network."""

    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return tmp_path


@pytest.mark.usefixtures("empty_cache")
def test_offline_one_line_names_the_file_and_how_to_get_it_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        create("vit-b16", classes=7, pretrained=True)
    assert time.monotonic() - started < 5
    told = str(caught.value)
    repository = "timm/vit_base_patch16_224.orig_in21k"
    assert told.startswith(f"expected the pretrained weights model.safetensors of {repository}")
    assert f"{repository}/resolve/main/model.safetensors" in told
    assert "no network in this test" in told
    assert "give its path as weights" in told
    assert "\n" not in told


def test_offline_by_choice_is_respected(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(empty_cache.iterdir())
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        create("resnet18", classes=7, pretrained=True)


def test_weights_in_the_hubs_cache_need_no_network(empty_cache: Path) -> None:
    folder = empty_cache / "models--timm--resnet18.tv_in1k"
    snapshot = folder / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0")
    torch.manual_seed(3)
    net, _ = create("resnet18", classes=1000, **shrunk("resnet18"))
    saved(net, snapshot / "model.safetensors")
    again, spec = create("resnet18", classes=7, pretrained=True, **shrunk("resnet18"))
    assert spec.weights is not None
    assert spec.weights.source == "timm/resnet18.tv_in1k"
    assert spec.weights.replaced == ("fc.weight", "fc.bias")
    published = load_file(snapshot / "model.safetensors")["conv1.weight"]
    assert torch.equal(again.state_dict()["conv1.weight"], published)


def test_a_model_without_published_weights_says_so() -> None:
    with pytest.raises(ModelError, match="none are published for 'gimefive-15'"):
        create("gimefive-15", classes=6, pretrained=True)


def as_transformers(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A timm ViT's tensors as transformers names them, written out by hand."""
    found = {}
    for name, value in state.items():
        parts = name.split(".")
        if name == "cls_token":
            found[prefix + "embeddings.cls_token"] = value
        elif name == "pos_embed":
            found[prefix + "embeddings.position_embeddings"] = value
        elif parts[0] == "patch_embed":
            found[prefix + f"embeddings.patch_embeddings.projection.{parts[-1]}"] = value
        elif parts[0] == "norm":
            found[prefix + f"layernorm.{parts[-1]}"] = value
        elif parts[0] == "head":
            found[f"classifier.{parts[-1]}"] = value
        elif "qkv" in parts:
            place = prefix + f"encoder.layer.{parts[1]}.attention.attention."
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{place}{part}.{parts[-1]}"] = piece.clone()
        else:
            inner = {
                "norm1": "layernorm_before",
                "norm2": "layernorm_after",
                "attn.proj": "attention.output.dense",
                "mlp.fc1": "intermediate.dense",
                "mlp.fc2": "output.dense",
            }[".".join(parts[2:-1])]
            found[prefix + f"encoder.layer.{parts[1]}.{inner}.{parts[-1]}"] = value
    return found


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_a_vit_under_the_names_of_transformers_loads(tmp_path: Path, prefix: str) -> None:
    net, _ = create("vit-b16", classes=7, **shrunk("vit-b16"))
    state = as_transformers(net.state_dict(), prefix)
    state[prefix + "pooler.dense.weight"] = torch.zeros(24, 24)
    path = tmp_path / "hf.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    again, spec = create("vit-b16", classes=7, weights=path, **shrunk("vit-b16"))
    assert spec.weights is not None
    assert spec.weights.replaced == ()
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(pixels), net.eval()(pixels))
    other, spec = create("vit-b16-mlp", classes=6, weights=path, **shrunk("vit-b16-mlp"))
    assert spec.weights is not None
    assert all(name.startswith("head.") for name in spec.weights.replaced)
    qkv = "blocks.1.attn.qkv.weight"
    torch.testing.assert_close(other.state_dict()[qkv], net.state_dict()[qkv])


def test_a_vit_of_transformers_without_a_part_is_refused(tmp_path: Path) -> None:
    net, _ = create("vit-b16", classes=7, **shrunk("vit-b16"))
    state = as_transformers(net.state_dict(), "vit.")
    del state["vit.encoder.layer.1.attention.attention.key.weight"]
    path = tmp_path / "hf.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    with pytest.raises(ModelError, match=r"blocks\.1\.attn\.qkv\.weight"):
        create("vit-b16", classes=7, weights=path, **shrunk("vit-b16"))
