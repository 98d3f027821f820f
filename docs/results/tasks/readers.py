"""What samples show, read by networks that had no part in making them.

A head is trained here, on real images, above the frozen features of EfficientNet-Lite0: labels of
pixels, or the class of an image. Both read real images too, which is the most one can ask for.

Axes: B batch, C classes, H/W image size in pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.content import IGNORED
from smalti.losses.efficientnet import BLOCKS, load_efficientnet

DEPTHS = (1, 3, 5, 11)
"""Blocks after which features are taken: 1/2, 1/4, 1/8 and 1/16 of the side."""
WIDTH = sum((16, 24, 40, 112))
LARGE_PX = 96
"""Side to which small images are enlarged for the classifier."""


class Segmenter(nn.Module):
    """Labels of pixels from features of four sizes, at a quarter of the side, then enlarged."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = load_efficientnet()
        self.head = nn.Sequential(
            nn.Conv2d(WIDTH + 3, 96, 1),
            nn.ReLU(),
            nn.Conv2d(96, 96, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(96, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C, H, W) of images (B, 3, H, W) in [-1, 1]."""
        size = [side // 4 for side in images.shape[2:]]
        maps = [*self.body.features(images, DEPTHS), F.avg_pool2d(images, 4)]
        resized = [F.interpolate(one, size, mode="bilinear") for one in maps]
        logits = self.head(torch.cat(resized, 1))
        return F.interpolate(logits, images.shape[2:], mode="bilinear")

    def learn(self, images: Tensor, labels: Tensor, crop: int, steps: int) -> None:
        """Learn from images (N, 3, H, W) and label maps (N, H, W), crop by crop."""
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(self.head.parameters(), 2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        room = images.shape[-1] - crop
        for _ in range(steps):
            chosen = torch.randint(len(images), (8,), generator=generator)
            top, left = torch.randint(room + 1, (2,), generator=generator).tolist()
            part = (slice(top, top + crop), slice(left, left + crop))
            logits = self(images[chosen][..., *part])
            wanted = labels[chosen][..., *part]
            loss = F.cross_entropy(logits, wanted, ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    @torch.no_grad()
    def agreement(self, images: Tensor, labels: Tensor) -> float:
        """Share of the pixels of images (B, 3, H, W) that are read as labels (B, H, W) say."""
        counted = labels != IGNORED
        return float((self(images).argmax(1) == labels)[counted].float().mean())


class Classifier(nn.Module):
    """The class of an image, linear in the features of ImageNet's classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = load_efficientnet()
        self.head = nn.Linear(1280, classes)

    @torch.no_grad()
    def describe(self, images: Tensor) -> Tensor:
        """Features (B, 1280) of images (B, 3, H, W) in [-1, 1]."""
        parts = []
        for part in images.split(64):
            large = F.interpolate(part, LARGE_PX, mode="bicubic").clamp(-1, 1)
            parts.append(self.body.pool(self.body.features(large, (BLOCKS,))[0]))
        return torch.cat(parts)

    def learn(self, images: Tensor, labels: Tensor, epochs: int = 40) -> None:
        """Learn from images (N, 3, H, W) and their class numbers (N,)."""
        features = self.describe(images)
        generator = torch.Generator().manual_seed(0)
        optimizer = torch.optim.Adam(self.head.parameters(), 1e-3, weight_decay=1e-4)
        for _ in range(epochs):
            for rows in torch.randperm(len(features), generator=generator).split(128):
                loss = F.cross_entropy(self.head(features[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    @torch.no_grad()
    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images (B, 3, H, W) that are read as the classes (B,) say."""
        return float((self.head(self.describe(images)).argmax(1) == labels).float().mean())
