"""midmix in Hugging Face's Trainer: `MixTrainer` in its place, with a mix."""

import torch
from datasets import Dataset
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import TrainingArguments, ViTConfig, ViTForImageClassification

import midmix
from midmix.data import long_tailed
from midmix.integrations.transformers import MixTrainer
from midmix.losses import balanced_softmax

digits = load_digits()
x, x_test, y, y_test = map(
    torch.tensor, train_test_split(digits.data, digits.target, test_size=0.5, random_state=0)
)
rows = long_tailed(y, imbalance_ratio=50, profile="exp", seed=0)
x, y, x_test = x[rows].float().reshape(-1, 1, 8, 8) / 16, y[rows], x_test.float().reshape(-1, 1, 8, 8) / 16
train, test = (
    Dataset.from_dict({"pixel_values": images.numpy(), "label": labels.numpy()}).with_format("torch")
    for images, labels in [(x, y), (x_test, y_test)]
)

model = ViTForImageClassification(
    ViTConfig(image_size=8, patch_size=2, num_channels=1, hidden_size=32, num_hidden_layers=2,
              num_attention_heads=4, intermediate_size=64, num_labels=10)
)  # fmt: skip
trainer = MixTrainer(
    model,
    TrainingArguments("output", num_train_epochs=10, per_device_train_batch_size=32, learning_rate=3e-3,
                      use_cpu=True, save_strategy="no", report_to="none"),
    train_dataset=train,
    eval_dataset=test,
    compute_metrics=lambda given: {"accuracy": (given.predictions.argmax(1) == given.label_ids).mean()},
    mix=midmix.balanced_am_mixup(num_classes=10),
    criterion=balanced_softmax(),
)  # fmt: skip
trainer.train()
print(f"accuracy {trainer.evaluate()['eval_accuracy']:.3f}")
