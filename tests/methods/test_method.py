"""A method as a text and as plain data: both ways round, and what is told of a text that cannot be."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest

from midmix.errors import InputError
from midmix.methods import Method, Spec, parse_methods

TEXTS = [
    "erm",
    "mixup:alpha=0.2",
    "balanced-am-mixup:clean_weight=1+balanced_softmax:tau=0.5",
    "erm+class_balanced",
    "erm+balanced_softmax+drw:start=0.5+progressive+cosine:scale=8 >> crt:epochs=2 >> temperature",
    "erm >> tau_norm:tau=auto",
    "erm >> ncm:cosine=true",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_and_plain_data_go_both_ways(text):
    method = Method.parse(text)
    assert str(method) == text
    assert Method.parse(str(method)) == method
    assert Method.from_dict(json.loads(json.dumps(method.as_dict()))) == method
    assert hash(Method.parse(text)) == hash(method)
    assert not set(method.slug) & set(" :/>")


def test_a_text_is_taken_apart():
    method = Method.parse(
        " erm + balanced_softmax:tau=1e+0+square_root + cosine >>lws:epochs=3>>  temperature "
    )
    assert method == Method(
        Spec("erm"),
        (Spec("balanced_softmax", (("tau", 1.0),)),),
        Spec("square_root"),
        Spec("cosine"),
        (Spec("lws", (("epochs", 3),)), Spec("temperature")),
    )
    assert [kind for kind, _ in method.parts] == ["method", "loss", "order", "head", "stage", "stage"]
    assert method.before_stages.stages == ()
    assert method.before_stages.losses == method.losses


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e+3", 1000.0),
        ("1e3", 1000.0),
        ("1E+3", 1000.0),
        ("1e-3", 0.001),
        ("2", 2),
        ("0.25", 0.25),
        (".5", 0.5),
    ],
)
def test_numbers(text, value):
    method = Method.parse(f"erm+balanced_softmax:tau={text}+square_root")
    assert method.losses[0].as_dict() == {"tau": value}
    assert method.order == Spec("square_root")
    assert Method.parse(str(method)) == method


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a name is missing"),
        ("erm+", "a name is missing"),
        ("erm >> ", "a name is missing"),
        ("erm>>>>ncm", "a name is missing"),
        ("mixup:alpha", "method 'mixup:alpha': no module 'mixup'"),
        ("mixup:alpha=", "'alpha=' is not option=value; write mixup:option=value"),
        ("mixup:=1", "'=1' is not option=value"),
        ("mixup:alpha=1:alpha=2", "alpha stands there twice"),
        ("balanced_softmax:tau=1", "balanced_softmax is a loss; write erm[+]balanced_softmax:tau=1"),
        ("mixpu", "mixpu.*did you mean mixup"),
        (
            "erm+balanced-softmax",
            "unknown loss, order or head 'balanced-softmax': did you mean balanced_softmax",
        ),
        ("erm+class_balance", "did you mean class_balanced"),
        ("erm+cosin", "did you mean cosine"),
        ("erm >> tau_nrom", "unknown stage 'tau_nrom': did you mean tau_norm"),
        ("erm >> balanced_softmax", "unknown stage 'balanced_softmax'"),
        (
            "erm+class_balanced+square_root",
            "class_balanced and square_root are both its order; leave one out",
        ),
        ("erm+cosine+cosine:scale=2", "cosine and cosine are both its head; leave one out"),
        ("mixup:alhpa=1", "unknown option of .*'alhpa': did you mean alpha"),
        ("erm+power:exponnet=1", "unknown option of power 'exponnet': did you mean exponent"),
        ("erm+balanced_softmax:tau=high", "must be a number"),
        ("erm >> tau_norm:tau=true", "tau=True: must be a number or auto"),
        ("erm+no_such_module_here:loss", "no module 'no_such_module_here'"),
        ("erm >> nowhere/own.py:stage", "there is no file"),
    ],
)
def test_what_is_told_of_a_text_that_cannot_be(text, words):
    with pytest.raises(InputError, match=words) as caught:
        Method.parse(text)
    assert "\n" not in str(caught.value)


def test_a_comparison_names_each_method_once():
    assert [str(method) for method in parse_methods(["erm", "mixup"])] == ["erm", "mixup"]
    with pytest.raises(InputError, match="erm >> ncm stands there more than once"):
        parse_methods(["erm>>ncm", "erm >> ncm", "erm"])


OWN = """
import torch
from midmix.methods import Stage

def loss(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

class Half:
    def __init__(self, factor: float = 0.5):
        self.factor = factor

    def apply(self, head, data):
        return torch.nn.Sequential(head, torch.nn.Linear(2, 2))
"""


@pytest.mark.parametrize("as_file", [True, False])
def test_ones_own_code_by_its_name(as_file, tmp_path, monkeypatch):
    name = f"own_parts_{as_file}".lower()
    file = tmp_path / f"{name}.py"
    file.write_text(OWN)
    monkeypatch.chdir(tmp_path)
    where = f"{name}.py" if as_file else name
    method = Method.parse(f"erm+{where}:loss >> {where}:Half:factor=0.25 >> temperature")
    try:
        assert (method.losses[0].name, method.stages[0].name) == (f"{where}:loss", f"{where}:Half")
        assert vars(method.make_stages()[0]) == {"factor": 0.25}
        assert Method.parse(str(method)) == method
        digest = hashlib.sha256(OWN.encode()).hexdigest()[:16]
        found = method.code()
        assert [(code.digest, code.file) for code in found] == [(digest, str(file.resolve()))] * 2
        assert [code.reference.rpartition(":")[2] for code in found] == ["loss", "Half"]
        assert method.needs_validation
        with pytest.raises(InputError, match=r"unknown function in .*'Hlaf': did you mean Half"):
            Method.parse(f"erm >> {where}:Hlaf")
    finally:
        sys.modules.pop(name, None)


def test_our_own_parts_are_no_code_to_record():
    assert Method.parse("mixup+balanced_softmax+square_root >> ncm").code() == ()
