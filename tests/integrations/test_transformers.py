"""Hugging Face's Trainer with a mix, on small text and image classifiers made from configurations."""

from __future__ import annotations

import importlib
import sys
import warnings

import numpy as np
import pytest
import torch
from datasets import Dataset

import midmix
from midmix.errors import InputError
from midmix.losses import balanced_softmax

transformers = pytest.importorskip("transformers")

from midmix.integrations.transformers import STATE, MixTrainer  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # advice of the Trainer's is no error


def text_model():
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            max_position_embeddings=8, num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )
    )  # fmt: skip


def image_model():
    torch.manual_seed(0)
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=8, patch_size=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, num_labels=3,
        )
    )  # fmt: skip


def texts(rows: int = 24) -> Dataset:
    labels = np.arange(rows) % 3
    tokens = np.random.default_rng(0).integers(4, 20, (rows, 6))
    tokens[:, 1] = labels + 1
    return Dataset.from_dict({"input_ids": tokens, "attention_mask": np.ones_like(tokens), "label": labels})


def images(rows: int = 24) -> Dataset:
    labels = np.arange(rows) % 3
    pixels = np.random.default_rng(0).normal(size=(rows, 3, 8, 8)) + labels[:, None, None, None]
    return Dataset.from_dict({"pixel_values": pixels.astype(np.float32), "label": labels}).with_format(
        "torch"
    )


def make_trainer(tmp_path, *, model=None, rows=None, mix=None, criterion=None, **options) -> MixTrainer:
    arguments = transformers.TrainingArguments(**{
        "output_dir": str(tmp_path),
        "per_device_train_batch_size": 8,
        "num_train_epochs": 4,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "logging_steps": 3,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": 1,
        **options,
    })  # fmt: skip
    rows = texts() if rows is None else rows
    return MixTrainer(
        model or text_model(),
        arguments,
        train_dataset=rows,
        eval_dataset=rows,
        compute_metrics=lambda given: {"rows": len(given.predictions), "right": _right(given)},
        mix=mix or midmix.balanced_am_mixup(num_classes=3),
        **({} if criterion is None else {"criterion": criterion}),
    )


def _right(given) -> float:
    return float((given.predictions.argmax(1) == given.label_ids).mean())


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.parametrize("precision", [{}, {"bf16": True}], ids=["fp32", "bf16"])
def test_training_mixes_and_evaluation_does_not(tmp_path, kind, precision):
    model, rows = (text_model(), texts()) if kind == "text" else (image_model(), images())
    trainer = make_trainer(
        tmp_path,
        model=model,
        rows=rows,
        criterion=balanced_softmax(),
        num_train_epochs=10,
        logging_steps=10,
        **precision,
    )
    trainer.train()
    logged = [entry["mix_ratio"] for entry in trainer.state.log_history if "mix_ratio" in entry]
    assert logged[-1] < logged[0] < 1
    metrics = trainer.evaluate()
    assert metrics["eval_rows"] == 24
    assert metrics["eval_right"] > 0.6
    with torch.no_grad():  # the model's own loss, on its own labels
        batch = trainer.data_collator([trainer.eval_dataset[row] for row in range(24)])
        batch["labels"] = batch.pop("labels")
        own = trainer.model.eval()(**batch).loss
    assert metrics["eval_loss"] == pytest.approx(float(own), abs=0.02)
    assert trainer.predict(rows).predictions.shape == (24, 3)


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path):
    weights = []
    for options in (
        {"per_device_train_batch_size": 8},
        {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2},
    ):
        trainer = make_trainer(
            tmp_path, mix=midmix.erm(num_classes=3), optim="sgd", num_train_epochs=2, **options
        )  # fmt: skip
        trainer.train()
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters()]))
    torch.testing.assert_close(*weights, atol=1e-6, rtol=1e-5)


def test_the_plain_trainer_is_matched_where_nothing_is_mixed(tmp_path):
    mixed = make_trainer(tmp_path, mix=midmix.erm(num_classes=3))
    plain = transformers.Trainer(text_model(), mixed.args, train_dataset=texts())
    losses = [trainer.train().training_loss for trainer in (mixed, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path):
    options = {"save_strategy": "steps", "save_steps": 6}
    whole = make_trainer(tmp_path, **options)
    whole.train()
    again = make_trainer(tmp_path, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], value, msg=name)
    assert float(again.mix.ratio.value) == float(whole.mix.ratio.value)
    (tmp_path / "checkpoint-12" / STATE).unlink()
    with pytest.warns(UserWarning, match="start afresh"):
        make_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_what_cannot_go_together_is_said(tmp_path):
    with pytest.raises(InputError, match="label_smoothing_factor"):
        make_trainer(tmp_path, label_smoothing_factor=0.1)
    gpt = transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, num_labels=3, n_positions=8)
    )
    with pytest.raises(InputError, match="pools afterwards"):
        make_trainer(tmp_path, model=gpt)


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "midmix.integrations.transformers")
    with warnings.catch_warnings(), pytest.raises(ImportError, match=r"pip install 'midmix\[transformers\]'"):
        importlib.import_module("midmix.integrations.transformers")
