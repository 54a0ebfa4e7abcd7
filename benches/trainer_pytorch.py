"""The nets of benches/trainer.rs in PyTorch: NET BATCH THREADS FORMAT STEPS prints median and least ms a step."""
import statistics
import sys
import time

import torch
from torch import nn

net, batch, threads, layout, steps = sys.argv[1], *map(int, sys.argv[2:4]), sys.argv[4], int(sys.argv[5])
torch.set_num_threads(threads)
torch.manual_seed(1)


def conv_bn(before, after, kernel=3, stride=1, groups=1):
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after))


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.inner = nn.Sequential(conv_bn(before, after, 3, stride), nn.ReLU(True), conv_bn(after, after))
        same = stride == 1 and before == after
        self.skip = nn.Identity() if same else conv_bn(before, after, 1, stride)

    def forward(self, x):
        return torch.relu(self.inner(x) + self.skip(x))


def head(width):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def residual():
    layers, width = [conv_bn(3, 32), nn.ReLU(True)], 32
    for channels, stride in [(32, 1), (64, 2), (64, 1), (128, 2)]:
        layers.append(Block(width, channels, stride))
        width = channels
    return nn.Sequential(*layers, head(width)), (3, 32, 32)


def separable():
    layers, width = [conv_bn(1, 16), nn.ReLU(True)], 16
    for channels, stride in [(32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1)]:
        layers += [conv_bn(width, width, 3, stride, width), nn.ReLU(True)]
        layers += [conv_bn(width, channels, 1), nn.ReLU(True)]
        width = channels
    return nn.Sequential(*layers, head(width)), (1, 28, 28)


model, shape = {"a": residual, "b": separable}[net]()
images = torch.rand(batch, *shape) * 2 - 1
labels = torch.randint(0, 10, (batch,))
if layout == "channels_last":
    model = model.to(memory_format=torch.channels_last)
    images = images.to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
loss = nn.CrossEntropyLoss()
times = []
for _ in range(steps):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss(model(images), labels).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    times.append(1e3 * (time.perf_counter() - start))
times = times[min(5, steps // 2):]
print(f"{statistics.median(times):.3f} {min(times):.3f}")
