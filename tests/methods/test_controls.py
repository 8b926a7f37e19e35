"""The one list of controls: what stands beside a method, for any mix and any loss."""

from __future__ import annotations

import pytest

from midmix.methods import BASELINES, Method, controls_of, default_lines, with_controls
from midmix.mixing import recipes


@pytest.mark.parametrize("name", recipes())
def test_controls_differ_in_the_mix_alone(name):
    method = Method.parse(f"{name}+ldam:max_margin=0.3+drw")
    for control in controls_of(method):
        assert control != method
        assert (control.losses, control.order) == (method.losses, method.order)
        control.check()


def test_resampling_alone_is_a_control_where_pairs_resample():
    assert "balanced-midpoint:ratio=1" in map(str, controls_of(Method.parse("balanced-midpoint")))
    kept = controls_of(Method.parse("balanced-am-mixup:beta=0.5:balanced_accuracy=true"))
    assert "balanced-am-mixup:balanced_accuracy=true:beta=0" in map(str, kept)
    assert controls_of(Method.parse("balanced-am-mixup:beta=0")) == controls_of(Method.parse("am-mixup"))
    for control in controls_of(Method.parse("balanced-am-mixup:beta=0.5")):
        assert float(control.make_mix(num_classes=3).ratio.value) == 1 or control.mix.name == "mixup"


def test_default_lines_hold_their_own_controls():
    lines = default_lines("features")
    assert with_controls(lines, "features") == lines
    assert set(BASELINES.names()) < set(map(str, lines))
    assert len(lines) >= 9
    assert not any(line.baseline for line in default_lines("images"))
