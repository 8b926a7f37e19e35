"""midmix in Lightning: a callback, and `self.mix.loss` in the training step."""

import lightning
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import midmix
from midmix.data import long_tailed
from midmix.integrations.lightning import MixCallback


class Digits(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def training_step(self, batch, batch_idx):
        return self.mix.loss(self.network(batch[0]))  # the labels are with the mix

    def validation_step(self, batch, batch_idx):
        logits = self.network(batch[0])  # nothing is mixed here
        self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())
        self.log("loss", cross_entropy(logits, batch[1]))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


lightning.seed_everything(0, verbose=False)
digits = load_digits()
x, x_test, y, y_test = map(
    torch.tensor, train_test_split(digits.data, digits.target, test_size=0.5, random_state=0)
)
rows = long_tailed(y, imbalance_ratio=50, profile="exp", seed=0)
x, y, x_test = x[rows].float() / 16, y[rows], x_test.float() / 16

callback = MixCallback(midmix.balanced_am_mixup(num_classes=10))
trainer = lightning.Trainer(
    max_epochs=30, callbacks=[callback], accelerator="cpu", logger=False, enable_checkpointing=False
)
train = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
trainer.fit(Digits(), train, DataLoader(TensorDataset(x_test, y_test), batch_size=1000))
print(f"accuracy {float(trainer.callback_metrics['accuracy']):.3f}")
