"""A mix hooked into models of many makes: it mixes what it should, where it should, and leaves no trace."""

from __future__ import annotations

import copy
import io
import math
import threading
from collections import namedtuple
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import midmix
from midmix.errors import InputError
from midmix.losses import balanced_softmax
from midmix.methods import Method
from midmix.mixing import (
    AccuracyRatio,
    Features,
    FixedRatio,
    Hidden,
    Input,
    InterClassPairs,
    Mix,
    RandomSite,
    site_of,
)
from midmix.models import build

Y = torch.tensor([0, 1, 2, 0, 0, 1])


class Net(nn.Module):
    def __init__(self, head: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh())
        self.fc = nn.Linear(8, 3) if head is None else head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.encoder(x))
        return logits


def inputs(seed: int = 0) -> Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))


def clean_accuracy(logits: Tensor) -> float:
    return float((logits.argmax(-1) == Y).float().mean())


@pytest.fixture(autouse=True)
def same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_found_or_named_gives_the_same():
    model, results = Net(), []
    for site in (None, "fc", Features("fc")):
        mix = midmix.am_mixup(num_classes=3).attach(model, site=site)
        mix.observe(accuracy=0.9)
        with mix(Y, torch.Generator().manual_seed(1)):
            results.append(model(inputs()))
        mix.remove()
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_features_are_mixed_and_gradients_reach_encoder_and_head():
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    mix.observe(accuracy=1.0)
    x = inputs().requires_grad_()
    kept = x.detach().clone()
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(x)
    loss = mix.loss(logits)
    torch.testing.assert_close(logits, model.fc(plan.apply(model.encoder(x))))
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
    assert float(model.encoder[0].weight.grad.abs().sum()) > 0
    assert float(model.fc.weight.grad.abs().sum()) > 0
    assert torch.equal(x.detach(), kept)


def test_removed_without_a_trace():
    model = Net().eval()
    before = model(inputs())
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    model.train()
    with mix(Y):
        model(inputs())
    mix.remove()
    mix.remove()  # twice does no harm
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    model.encoder[1].reset_running_stats()
    assert torch.equal(model.eval()(inputs()), before)
    with pytest.raises(InputError, match="no model is attached"), mix(Y):
        pass


def test_attached_to_another_model_it_leaves_the_first():
    one, two = Net(), Net()
    mix = midmix.am_mixup(num_classes=3).attach(one)
    mix.attach(two)
    assert not one.fc._forward_pre_hooks
    assert len(two.fc._forward_pre_hooks) == 1


@pytest.mark.parametrize(
    "head",
    [
        lambda: nn.Linear(8, 3),
        lambda: nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)),
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), nn.Linear(8, 3)),
    ],
    ids=["linear", "batch norm and dropout", "spectral norm"],
)
def test_watching_the_clean_accuracy_has_no_side_effects(head):
    """The same steps with a ratio that watches and one that is told: weights, statistics, random state are equal."""
    ends = []
    for accuracy in ("running", "given"):
        torch.manual_seed(5)
        model = Net(head())
        site = "fc" if isinstance(model.fc, nn.Sequential) else None
        # λ is 1 throughout, so that only the watching differs
        mix = Mix(InterClassPairs(), AccuracyRatio(lambda a: a * 0 + 1, accuracy=accuracy), num_classes=3)
        mix.attach(model, site=site)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        generator = torch.Generator().manual_seed(3)
        for step in range(4):
            with mix(Y, generator):
                logits = model(inputs(step))
            mix.loss(logits).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert all(module.training for module in model.modules())
        ends.append((model.state_dict(), torch.get_rng_state()))
        assert (mix.ratio.get_buffer("accuracy").item() > 0) == (accuracy == "running")
    (state, random), (state2, random2) = ends
    assert torch.equal(random, random2)
    for name, tensor in state.items():
        assert torch.equal(tensor, state2[name]), name


def test_the_accuracy_is_that_of_clean_features():
    model = Net()
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    mix.observe(accuracy=1.0)
    with mix(Y):
        model(inputs())
    copied = copy.deepcopy(model).train()
    expected = clean_accuracy(copied(inputs()))
    assert mix.ratio.get_buffer("accuracy").item() == pytest.approx(expected)
    assert mix.ratio.tally.counts[1].item() == len(Y)


def test_with_a_clean_term_the_accuracy_comes_from_it_once_however_often_the_loss_is_taken():
    model = Net()
    mix = midmix.am_mixup(num_classes=3, clean_weight=0.5, site=Input()).attach(model)
    with mix(Y):
        logits = model(inputs())
    assert len(logits) == 12
    mix.loss(logits)
    mix.loss(logits, balanced_softmax())
    assert mix.ratio.tally.counts[1].item() == len(Y)
    assert mix.ratio.get_buffer("accuracy").item() == pytest.approx(clean_accuracy(logits[6:]))


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("make", [midmix.am_mixup, midmix.balanced_am_mixup, midmix.mixup])
def test_gradient_checkpointing_changes_nothing_and_counts_once(make, reentrant):
    class Checkpointed(Net):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = checkpoint(super().forward, x, use_reentrant=reentrant)
            return logits

    class Outer(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.net(x)
            return logits

    gradients = []
    for kind in (Net, Checkpointed):
        torch.manual_seed(0)
        net = kind()
        net.encoder[1] = nn.LayerNorm(8)  # a recomputed batch norm counts twice, which is not ours
        model = Outer(net)
        mix = make(num_classes=3).attach(model, site=Hidden("net.encoder") if make is midmix.mixup else None)
        mix.observe(accuracy=0.9)
        with mix(Y, torch.Generator().manual_seed(1)):
            logits = model(inputs().requires_grad_())
        mix.loss(logits).backward()
        gradients.append([p.grad for p in net.parameters()])
        if make is not midmix.mixup:
            assert mix.ratio.tally.counts[1].item() == len(Y)
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.equal(plain, recomputed)


def checkpointed(reentrant: bool) -> tuple[nn.Module, midmix.Mix]:
    """A network whose encoder and head are recomputed in the backward pass, and the mix attached to it."""

    class Checkpointed(Net):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = checkpoint(super().forward, x, use_reentrant=reentrant)
            return logits

    model = Checkpointed()
    model.encoder[1] = nn.LayerNorm(8)
    mix = midmix.am_mixup(num_classes=3).attach(model)
    mix.observe(accuracy=0.9)
    return model, mix


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_with_unmixed_passes_after_mixed_ones(reentrant):
    model, mix = checkpointed(reentrant)
    plain = copy.deepcopy(model)
    mix.remove()
    mix.attach(model)
    with mix(Y):
        logits = model(inputs().requires_grad_())
    mix.loss(logits).backward()
    model.zero_grad()
    for net in (model, plain):  # mixing switched off for the last epochs
        F.cross_entropy(net(inputs(1).requires_grad_()), Y).backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("second", ["block", "unmixed"])
def test_gradient_checkpointing_of_two_passes_at_once_is_refused(reentrant, second):
    model, mix = checkpointed(reentrant)
    with mix(Y):
        loss = mix.loss(model(inputs().requires_grad_()))
    if second == "block":
        with mix(Y.flip(0)):
            loss = loss + mix.loss(model(inputs(1).requires_grad_()))
    else:
        loss = loss + F.cross_entropy(model(inputs(1).requires_grad_()), Y)
    with pytest.raises(InputError, match=r"gradient checkpointing: .* call backward.. after each pass"):
        loss.backward()


class Wrapper(nn.Module):
    """As DistributedDataParallel wraps a network."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


@pytest.mark.parametrize("inner", [True, False], ids=["before wrapping", "after"])
def test_a_wrapped_model_is_mixed_all_the_same(inner):
    net = Net()
    model = Wrapper(net)
    mix = midmix.balanced_am_mixup(num_classes=3).attach(net if inner else model)
    with mix(Y):
        logits = model(inputs())
    assert len(logits) == 12
    mix.loss(logits).backward()
    model.eval()
    with mix(Y):
        assert len(model(inputs())) == 6


class Keywords(nn.Module):
    """Called by keywords, within and from without, as transformers' models are."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 8)
        self.classifier = nn.Linear(8, 3)

    def forward(self, mask: Tensor | None = None, values: Tensor | None = None) -> dict[str, Tensor]:
        return {"logits": self.classifier(input=self.encoder(values))}


@pytest.mark.parametrize("site", [Input(), Hidden("encoder"), Features()], ids=str)
def test_models_called_by_keyword(site):
    model = Keywords()
    mix = Mix(InterClassPairs(), FixedRatio(0.6), site=site, num_classes=3).attach(model)
    x, kept = inputs(), inputs()
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(mask=torch.ones(6, dtype=torch.bool), values=x)["logits"]
    loss = mix.loss(logits)
    torch.testing.assert_close(logits, model(values=plan.apply(x))["logits"])
    assert torch.equal(x, kept)
    loss.backward()


def test_a_keyword_to_mix_is_named_where_there_are_several():
    model, x = Keywords(), inputs()
    mix = Mix(InterClassPairs(), FixedRatio(0.6), site=Input(), num_classes=3).attach(model)
    with (
        pytest.raises(InputError, match=r"several floating-point tensors, mask, values; .*Input\('mask'\)"),
        mix(Y),
    ):
        model(mask=torch.ones(6), values=x)
    mix.attach(model, Input("values"))
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(mask=torch.ones(6), values=x)["logits"]
    mix.remove()
    torch.testing.assert_close(logits, model(values=plan.apply(x))["logits"])
    mix.attach(model, Input("value"))
    with pytest.raises(InputError, match=r"unknown keyword .*'value': did you mean values"), mix(Y):
        model(values=x)


def test_a_head_that_takes_more_than_features():
    class Margin(nn.Linear):
        def forward(self, input: Tensor, margin: Tensor, *, scale: float = 1.0) -> Tensor:  # type: ignore[override]
            return scale * super().forward(input) - margin

    class Whole(Net):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.encoder(x), torch.tensor([0.0, 0.0, 9.0]), scale=2.0)
            return logits

    model = Whole(Margin(8, 3))
    mix = midmix.am_mixup(num_classes=3).attach(model)
    mix.observe(accuracy=1.0)
    with mix(Y):
        model(inputs())
    with torch.no_grad():
        expected = clean_accuracy(model(inputs()))
    assert mix.ratio.get_buffer("accuracy").item() == pytest.approx(expected)


def test_a_head_that_answers_each_token_is_refused_with_a_way_out():
    class Tokens(Net):
        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.encoder(x).unsqueeze(1).expand(-1, 5, -1))
            return logits

    model = Tokens()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    with pytest.raises(InputError, match=r"clean logits: \(6, 5, 3\) for 6 labels.*accuracy='given'"), mix(Y):
        model(inputs())


@pytest.mark.parametrize("frozen", ["encoder", "head"])
def test_parts_in_evaluation_mode_do_not_change_what_is_mixed(frozen):
    """A stage whose batch norm is frozen is mixed in a model that trains; a head that trains, on a frozen encoder."""
    model = Net()
    if frozen == "encoder":
        model.encoder.eval()
    else:
        model.eval()
        model.fc.train()
    site = Hidden("encoder") if frozen == "encoder" else Features()
    mix = Mix(InterClassPairs(), FixedRatio(0.6), site=site, num_classes=3).attach(model)
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(inputs())
    mix.remove()
    torch.testing.assert_close(logits, model.fc(plan.apply(model.encoder(inputs()))))


def test_lists_of_stages_are_opened():
    class Staged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.downs = nn.ModuleList(nn.Sequential(nn.Linear(4, 4)) for _ in range(3))
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            for down in self.downs:
                x = down(x)
            logits: Tensor = self.fc(x)
            return logits

    model = Staged()
    assert RandomSite().choices(model, 3) == (Input(), Hidden("downs.0"), Hidden("downs.1"))
    with pytest.raises(
        InputError, match=r"downs: a ModuleList is not called itself; name a member: downs.0, "
    ):
        midmix.mixup(3).attach(model, Hidden("downs"))


def test_a_hidden_module_that_returns_a_named_tuple():
    Pair = namedtuple("Pair", ["h", "c"])

    class Cell(nn.Linear):
        def forward(self, input: Tensor) -> Pair:  # type: ignore[override]
            return Pair(super().forward(input), input)

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.fc = Cell(4, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.cell(x).h)
            return logits

    model = Named()
    mix = Mix(InterClassPairs(), FixedRatio(0.6), site=Hidden("cell"), num_classes=3).attach(model)
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(inputs())
    mix.remove()
    torch.testing.assert_close(logits, model.fc(plan.apply(model.cell(inputs()).h)))


def test_a_hidden_module_that_returns_a_tuple():
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.GRU(4, 8, batch_first=True)
            self.fc = nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.fc(self.rnn(x)[0][:, -1])
            return logits

    model, x = Recurrent(), torch.randn(6, 5, 4)
    mix = Mix(InterClassPairs(), FixedRatio(0.6), site=Hidden("rnn"), num_classes=3).attach(model)
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(x)
    mix.remove()
    torch.testing.assert_close(logits, model.fc(plan.apply(model.rnn(x)[0][:, -1])))


@pytest.mark.parametrize(
    ("network", "shape", "stages"),
    [("resnet-8", (3, 8, 8), ["stem", "stage1", "stage2"]), ("mlp-8-8", (4,), ["hidden.0"])],
)
def test_manifold_mixup_mixes_at_the_input_and_before_the_last_stage(network, shape, stages, generator):
    model = build(network, shape, 3, width=4 if network.startswith("resnet") else None, seed=0)
    mix = midmix.manifold_mixup(num_classes=3).attach(model)
    choices = RandomSite().choices(model, 3)
    assert [getattr(site, "name", "input") for site in choices] == ["input", *stages]
    seen = set()
    for _ in range(40):
        with mix(Y, generator) as batch:
            plan = batch.plan
            logits = model(torch.rand(6, *shape))
        mix.loss(logits).backward()
        seen.add(plan.site)
    assert seen == set(range(len(stages) + 1))


def test_a_copied_model_is_on_its_own_and_a_copied_pair_works():
    model = Net()
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    average = copy.deepcopy(model)
    with mix(Y):
        assert len(average(inputs())) == 6
        assert len(model(inputs())) == 12
    pair = copy.deepcopy(nn.ModuleDict({"model": model, "mix": mix}))
    with pair["mix"](Y):
        logits = pair["model"](inputs())
        assert len(model(inputs())) == 6
    pair["mix"].loss(logits).backward()
    pair["mix"].remove()
    assert not pair["model"].fc._forward_pre_hooks
    assert len(model.fc._forward_pre_hooks) == 1


def test_two_mixes_at_once_keep_to_their_own_models():
    one, two = Net(), Net()
    first = midmix.balanced_am_mixup(num_classes=3).attach(one)
    second = midmix.am_mixup(num_classes=3).attach(two)
    with first(Y):
        assert len(two(inputs())) == 6
        with second(Y[:4]):
            assert len(one(inputs())) == 12
            assert len(two(inputs()[:4])) == 4
        assert len(one(inputs())) == 12
    assert len(one(inputs())) == 6


def test_two_blocks_on_one_model_are_refused_and_the_first_goes_on():
    model = Net()
    first = midmix.am_mixup(num_classes=3).attach(model)
    second = midmix.mixup(num_classes=3).attach(model)
    with first(Y):
        with pytest.raises(
            InputError, match="a block of this mix, or of another on the same model, is running"
        ):
            second(Y).__enter__()
        assert len(model(inputs())) == 6
        assert first.loss(model(inputs())).isfinite()
    with second(Y):  # nothing of the first is left
        assert second.loss(model(inputs())).isfinite()


def test_two_threads_on_one_model_are_refused_and_the_first_goes_on():
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    said: list[str] = []

    def other() -> None:
        try:
            with mix(Y):
                model(inputs())
        except InputError as error:
            said.append(str(error))

    with mix(Y):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert mix.loss(model(inputs())).isfinite()
    assert len(said) == 1
    assert "another thread" in said[0]


def test_a_site_with_other_outputs_than_classes_is_refused():
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model, site="encoder")  # λ would follow hidden units
    with pytest.raises(InputError, match="classes"), mix(Y):
        mix.loss(model(inputs()))


def test_an_attached_model_can_be_pickled_whole():
    model = Net()
    midmix.am_mixup(num_classes=3).attach(model)
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    assert torch.equal(loaded.eval()(inputs()), model.eval()(inputs()))


def test_a_models_files_do_not_change_by_attaching():
    model = Net()
    keys = list(model.state_dict())
    midmix.am_mixup(num_classes=3).attach(model)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize("clean_weight", [0.0, 0.5])
@pytest.mark.parametrize("name", [name for name in midmix.recipes() if name != "resize-mix"])
def test_bfloat16_autocast(name, clean_weight):
    if name == "erm" and clean_weight:
        pytest.skip("mixes nothing, so it has no clean term")
    model = Net()
    options = {"clean_weight": clean_weight} if clean_weight else {}
    mix = midmix.recipe(name, num_classes=3, **options).attach(model)
    mix.observe(accuracy=0.9)
    with mix(Y), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(inputs())
    assert logits.dtype == torch.bfloat16
    loss = mix.loss(logits, balanced_softmax())
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert float(model.fc.weight.grad.abs().sum()) > 0, "watching must not take the head's gradient"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_model_in_half_precision(dtype):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    for _ in range(3):
        with mix(Y):
            logits = model(inputs().to(dtype))
        assert logits.dtype == dtype
        mix.loss(logits).backward()
    assert mix.ratio.tally.counts[1].item() == pytest.approx(6 * (1 + math.exp(-0.003) + math.exp(-0.006)))


def test_a_mix_may_be_part_of_the_model_it_is_attached_to():
    class Whole(Net):
        def __init__(self) -> None:
            super().__init__()
            self.mix = midmix.balanced_am_mixup(num_classes=3)
            self.mix.attach(self)

    model = Whole()
    with model.mix(Y):
        logits = model(inputs())
    assert len(logits) == 12
    assert any(key.startswith("mix.ratio") for key in model.state_dict())
    model.eval()
    with model.mix(Y):
        assert len(model(inputs())) == 6


def test_the_block_ends_the_mixing_even_where_it_fails():
    model = Net()
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    with pytest.raises(RuntimeError), mix(Y):
        model(torch.zeros(6, 5))
    assert len(model(inputs())) == 6


def test_an_evaluation_inside_the_training_loop_sees_nothing_of_the_mix():
    model = Net()
    mix = midmix.balanced_am_mixup(num_classes=3).attach(model)
    with mix(Y):
        logits = model(inputs())
        model.eval()
        assert len(model(inputs())) == 6
        model.train()
    assert len(logits) == 12
    assert mix.loss(logits).isfinite()


def test_unmixed_loss_equals_torchs_in_evaluation():
    model = Net().eval()
    mix = midmix.balanced_am_mixup(num_classes=3, clean_weight=1.0).attach(model)
    with mix(Y):
        logits = model(inputs())
    torch.testing.assert_close(mix.loss(logits), F.cross_entropy(logits, Y))


def loss_before_block() -> None:
    midmix.am_mixup(num_classes=3).attach(Net()).loss(torch.zeros(6, 3))


def block_forgotten() -> None:
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    with mix(Y):
        mix.loss(model(inputs()))
    mix(Y)
    mix.loss(model(inputs()))


def model_not_called() -> None:
    mix = midmix.am_mixup(num_classes=3).attach(Net())
    with mix(Y):
        pass
    mix.loss(torch.zeros(6, 3))


def wrong_rows() -> None:
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    with mix(Y):
        model(inputs()[:4])


def token_ids() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    mix = midmix.mixup(num_classes=3).attach(model)
    with mix(Y):
        model(torch.zeros(6, 2, dtype=torch.int64))


def no_tensor() -> None:
    class Strange(Net):
        def forward(self, *, text: str) -> Tensor:  # type: ignore[override]
            return super().forward(inputs())

    model = Strange()
    mix = midmix.mixup(num_classes=3).attach(model)
    with mix(Y):
        model(text="?")


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda: midmix.am_mixup(3).attach(Net(), site="fcc"),
            "unknown module of Net 'fcc': did you mean fc",
        ),
        (
            lambda: midmix.mixup(3).attach(Net(), site=Hidden("encodre")),
            "unknown module of Net 'encodre': did you mean encoder",
        ),
        (
            lambda: midmix.am_mixup(7).attach(Net()),
            "no linear layer has num_classes = 7 outputs; name it with site",
        ),
        (
            lambda: midmix.mixup(3).attach(Net(), site=RandomSite(Input(), RandomSite(Input()))),
            "RandomSite: cannot stand inside another RandomSite; list all sites in one",
        ),
        (
            lambda: midmix.am_mixup(3).attach(Net(), site=Hidden("encoder")),
            "AccuracyRatio follows the accuracy of clean features, .*use site=Features",
        ),
        (
            lambda: midmix.mixup(3, site=2),  # type: ignore[arg-type]
            "site: 2 is none; give the classifier's name in quotes",
        ),
        (loss_before_block, "loss: comes after `with mix"),
        (block_forgotten, "loss: comes after `with mix"),
        (model_not_called, "loss: the model ran without passing Features.*call it inside the block"),
        (wrong_rows, "features: 4 rows, labels: 6; both must be of the same batch"),
        (token_ids, r"features: torch\.int64 cannot be mixed.*mix the embeddings"),
        (no_tensor, "Strange: was called without a floating-point tensor; mix a hidden layer"),
    ],
)
def test_errors_say_what_and_what_to_do(act, says):
    with pytest.raises(InputError, match=says):
        act()


def test_a_site_that_is_not_found_leaves_no_hooks_behind():
    model = Net()
    with pytest.raises(InputError, match="unknown module"):
        midmix.mixup(3).attach(model, site=RandomSite(Input(), Hidden("nowhere")))
    assert not model._forward_pre_hooks


def test_an_attachment_that_fails_leaves_the_mix_as_it_was():
    model = Net()
    mix = midmix.mixup(3).attach(model)
    with pytest.raises(InputError, match="unknown module"):
        mix.attach(model, site=Hidden("nowhere"))
    assert mix.site == Input()
    with mix(Y) as batch:
        plan = batch.plan
        logits = model(inputs())
    mix.remove()
    torch.testing.assert_close(logits, model(plan.apply(inputs())))


def test_logits_of_a_forgotten_block_are_refused():
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    with mix(Y):
        logits = model(inputs())
    mix.loss(logits)
    logits = model(inputs())  # the block was forgotten
    with pytest.raises(InputError, match=r"outside of a block .* write `with mix"):
        mix.loss(logits)
    with mix(Y) as batch:
        logits = model(inputs())
    assert batch.loss(logits).isfinite()
    with mix(Y):
        model(inputs())
    with pytest.raises(InputError, match="another batch's block has begun"):
        batch.loss(logits)


def test_an_evaluation_between_block_and_loss_makes_nothing_void():
    model = Net()
    mix = midmix.am_mixup(num_classes=3).attach(model)
    with mix(Y):
        logits = model(inputs())
    model.eval()(inputs())
    model.train()
    assert mix.loss(logits).isfinite()


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("input", Input()),
        ("features", Features()),
        ("after-stage1", Hidden("stage1")),
        ("after-stage3.0", Hidden("stage3.0")),
    ],
)
def test_a_site_in_words_is_the_site(text, site, generator):
    """Where the line of a command says it: `mixup:site=after-stage1`."""
    model = build("resnet-8", (3, 8, 8), 3)
    x, y = torch.randn(6, 3, 8, 8, generator=generator), Y
    answers = []
    for place in (text, site):
        mix = midmix.balanced_midpoint(num_classes=3, site=place).attach(model)
        with mix(y, torch.Generator().manual_seed(1)):
            answers.append(model(x))
        mix.remove()
    assert torch.equal(*answers)


def test_a_module_that_is_not_there_is_said_with_the_nearest():
    with pytest.raises(InputError, match=r"stage9.*did you mean stage"):
        midmix.mixup(num_classes=3, site="after-stage9").attach(build("resnet-8", (3, 8, 8), 3))
    assert site_of("head.fc") == Features("head.fc")


def test_a_method_in_words_has_no_classifier_of_that_name():
    assert Method.parse("mixup:site=input").classifier is None
    assert Method.parse("mixup:site=fc").classifier == "fc"
