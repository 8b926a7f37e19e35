"""`midmix refit`, as a shell would call it."""

from __future__ import annotations


def test_a_finished_run_gets_another_classifier(midmix, table, tmp_path):
    flags = ("--network", "mlp-8", "--epochs", 4, "--validation", 0.3, "--test-fraction", 0.3)
    run, out = tmp_path / "run", tmp_path / "out"
    trained = midmix("train", table, "--method", "erm", *flags, "--out", run)
    assert trained.code == 0, trained.err
    outcome = midmix("refit", run, "tau_norm:tau=auto >> temperature", "--out", out)
    assert outcome.code == 0, outcome.err
    assert "erm >> tau_norm:tau=auto >> temperature" in " ".join(outcome.out.split())
    assert midmix("predict", out, table, "--out", tmp_path / "told.csv").code == 0
    moved = table.rename(tmp_path / "moved.csv")
    assert "animals.csv" in midmix("refit", run, "ncm", "--out", tmp_path / "again").complaint
    found = midmix("refit", run, "ncm", "--source", moved, "--out", tmp_path / "again")
    assert found.code == 0, found.err


def test_what_does_not_exist_is_one_line(midmix, table, tmp_path):
    complaint = midmix("refit", tmp_path, "crt").complaint
    assert "holds no finished run" in complaint
    flags = ("--network", "mlp-8", "--epochs", 1)
    assert midmix("train", table, "--method", "erm", *flags, "--out", tmp_path / "run").code == 0
    complaint = midmix("refit", tmp_path / "run", "rct", "--out", tmp_path / "out").complaint
    assert "unknown stage 'rct': did you mean crt" in complaint
    assert not (tmp_path / "out").exists()
