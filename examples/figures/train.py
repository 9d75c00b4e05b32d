"""Trains the bundled network, a ZFNet in small, on the pictures of the `figures` program.

Writes zfnet-small.onnx (the last epoch) with its model card and labels, checkpoints/epoch-NN.onnx
and training-log.csv. Drawing the pictures is the business of examples/figures*.c.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
# In the order of figures_draw.c.
LABELS = ["disc", "box", "triangle", "star", "cross",
          "rings", "stripes", "checkers", "letter-a", "face"]
SIZE = 96
CHECKPOINTS = (1, 2, 5, 10, 20, 30, 40, 64)  # Zeiler & Fergus 2013, figure 4
LRN = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 2.0}
MAX_FILTER_RMS = 0.1  # Zeiler & Fergus 2013, section 3


def draw(program, count, seed):
    """Labels (N) and pictures (N,3,SIZE,SIZE), both uint8, as the C program draws them."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "figures.raw"
        subprocess.run([program, "--count", str(count), "--seed", str(seed), "--raw", path],
                       check=True)
        raw = path.read_bytes()
    magic, header = raw[:8], np.frombuffer(raw, "<u4", 4, 8)
    if magic != b"FIGURES1" or list(header) != [count, SIZE, SIZE, len(LABELS)]:
        sys.exit(f"{program}: unexpected header {magic} {list(header)}")
    record = np.dtype([("label", "u1"), ("rgb", "u1", (SIZE, SIZE, 3)),
                       ("mask", "u1", (SIZE, SIZE))])
    data = np.frombuffer(raw, record, count, 32)
    pictures = np.ascontiguousarray(data["rgb"].transpose(0, 3, 1, 2))
    return torch.from_numpy(data["label"].astype(np.int64)), torch.from_numpy(pictures)


class LocalResponseNorm(nn.Module):
    """ONNX LRN over neighbouring maps; the same as torch's, but several times faster on a CPU."""

    def forward(self, x):
        half = LRN["size"] // 2
        squares = F.pad(x * x, (0, 0, 0, 0, half, half))
        total = sum(squares[:, i : i + x.shape[1]] for i in range(LRN["size"]))
        root = (LRN["bias"] + LRN["alpha"] / LRN["size"] * total).rsqrt()
        return x * root * root.sqrt()  # d^-0.75 = d^-0.5 * d^-0.25


class Net(nn.Module):
    """ZFNet (Zeiler & Fergus 2013, figure 3) for 96x96 pictures; layer names are the ONNX ones."""

    def __init__(self, dropout):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 7, stride=2, padding=2)  # 47
        self.conv2 = nn.Conv2d(24, 64, 5, padding=2)  # 23
        self.conv3 = nn.Conv2d(64, 64, 3, padding=1)  # 11
        self.conv4 = nn.Conv2d(64, 48, 3, padding=1)  # 11
        self.fc5 = nn.Linear(48 * 5 * 5, 64)
        self.logits = nn.Linear(64, len(LABELS))
        self.norm = LocalResponseNorm()
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.conv1.weight, std=0.003)  # its input is about -128 .. 128

    def forward(self, picture):
        x = self.norm(F.max_pool2d(F.relu(self.conv1(picture)), 3, 2))
        x = self.norm(F.max_pool2d(F.relu(self.conv2(x)), 3, 2))
        x = F.relu(self.conv3(x))
        x = F.max_pool2d(F.relu(self.conv4(x)), 3, 2)
        return self.logits(self.dropout(F.relu(self.fc5(x.flatten(1)))))


def limit_filters(net, rescaled):
    """The paper's filter rule; notes in `rescaled` (layer -> bool per filter) where it acted."""
    with torch.no_grad():
        for name in ("conv1", "conv2", "conv3", "conv4"):
            weight = getattr(net, name).weight
            rms = weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
            weight.mul_((MAX_FILTER_RMS / rms).clamp(max=1.0))
            over = (rms > MAX_FILTER_RMS).flatten()
            rescaled[name] = rescaled.get(name, torch.zeros_like(over)) | over


def to_onnx(net, path):
    """Writes the network as ONNX, opset 13, every tensor under the name of its layer."""
    weights, nodes = [], []

    def add(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def parameters(name):
        for kind in ("weight", "bias"):
            value = getattr(getattr(net, name), kind).detach().numpy()
            weights.append(numpy_helper.from_array(value, f"{name}.{kind}"))
        return [f"{name}.weight", f"{name}.bias"]

    x = "picture"
    for i in (1, 2, 3, 4):
        layer = getattr(net, f"conv{i}")
        x = add("Conv", [x, *parameters(f"conv{i}")], f"conv{i}", kernel_shape=layer.kernel_size,
                strides=layer.stride, pads=layer.padding * 2)
        x = add("Relu", [x], f"relu{i}")
        if i != 3:
            x = add("MaxPool", [x], f"pool{i}", kernel_shape=(3, 3), strides=(2, 2))
        if i <= 2:
            x = add("LRN", [x], f"norm{i}", **LRN)
    x = add("Flatten", [x], "flatten", axis=1)
    x = add("Gemm", [x, *parameters("fc5")], "fc5", transB=1)
    x = add("Relu", [x], "relu5")
    x = add("Gemm", [x, *parameters("logits")], "logits", transB=1)
    add("Softmax", [x], "prob", axis=1)

    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    prob = helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["N", len(LABELS)])
    graph = helper.make_graph(nodes, "zfnet-small", [picture], [prob], weights)
    model = helper.make_model(graph, producer_name="figures/train.py", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 13)])
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def write_card(path, mean):
    card = {"labels": "labels.txt",
            "input": {"resize": SIZE, "crop": SIZE, "channels": "rgb", "range": [0, 255],
                      "mean": mean, "std": [1, 1, 1]}}
    text = json.dumps(card, indent=2)
    text = re.sub(r"\[[^]]*\]", lambda numbers: " ".join(numbers[0].split()), text)  # one line each
    path.write_text(text.replace("[ ", "[").replace(" ]", "]") + "\n")
    (path.parent / "labels.txt").write_text("\n".join(LABELS) + "\n")


def to_input(pictures, mean):
    return pictures.float() - torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1)


def make_optimizer(net, args):
    """SGD with momentum. The gradient of conv1 grows with its input, about 100 times that of the
    other layers, so its steps are smaller and its decay, which the step scales too, larger."""
    conv1 = list(net.conv1.parameters())
    rest = [p for name, p in net.named_parameters() if not name.startswith("conv1")]
    return torch.optim.SGD(
        [{"params": conv1, "share": args.conv1_rate, "weight_decay": args.conv1_decay},
         {"params": rest, "share": 1.0, "weight_decay": args.decay}], args.rate, momentum=0.9)


def learning_rate(args, epoch):
    """Half a cosine from the first rate to a hundredth of it; the first epoch at half the rate."""
    fall = (1 + math.cos(math.pi * (epoch - 1) / args.epochs)) / 2
    return args.rate * (0.01 + 0.99 * fall) * (0.5 if epoch == 1 else 1.0)


def train_epoch(net, optimizer, labels, pictures, mean, batch):
    """Mean loss and accuracy over the epoch, and how many filters the rule scaled back."""
    net.train()
    loss_sum, right, rescaled = 0.0, 0, {}
    for chosen in torch.randperm(len(labels)).split(batch):
        x, y = to_input(pictures[chosen], mean), labels[chosen]
        mirrored = torch.rand(len(y)) < 0.5
        x[mirrored] = x[mirrored].flip(3)
        scores = net(x)
        loss = F.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        limit_filters(net, rescaled)
        loss_sum += loss.item() * len(y)
        right += (scores.argmax(1) == y).sum().item()
    return loss_sum / len(labels), right / len(labels), sum(int(r.sum()) for r in rescaled.values())


def accuracy(net, labels, pictures, mean):
    net.eval()
    with torch.no_grad():
        right = sum((net(to_input(p, mean)).argmax(1) == y).sum().item()
                    for y, p in zip(labels.split(250), pictures.split(250)))
    return right / len(labels)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figures", required=True, help="the built `figures` program")
    parser.add_argument("--out", type=pathlib.Path, default=HERE, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=64)
    parser.add_argument("--train-count", type=int, default=10000)
    parser.add_argument("--test-count", type=int, default=2000)
    parser.add_argument("--train-seed", type=int, default=1, help="of the training pictures")
    parser.add_argument("--test-seed", type=int, default=2, help="of the unseen pictures")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.01, help="highest learning rate")
    parser.add_argument("--conv1-rate", type=float, default=0.001, help="conv1's share of the rate")
    parser.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    parser.add_argument("--conv1-decay", type=float, default=40.0, help="weight decay of conv1")
    parser.add_argument("--dropout", type=float, default=0.3, help="before the last layer")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def main():
    args = arguments()
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(args.threads)
    labels, pictures = draw(args.figures, args.train_count, args.train_seed)
    test_labels, test_pictures = draw(args.figures, args.test_count, args.test_seed)
    mean = [round(m) for m in pictures.double().mean(dim=(0, 2, 3)).tolist()]

    net = Net(args.dropout)
    print(f"{sum(p.numel() for p in net.parameters())} parameters, mean {mean}")
    optimizer = make_optimizer(net, args)
    args.out.mkdir(parents=True, exist_ok=True)
    write_card(args.out / "zfnet-small.json", mean)
    with open(args.out / "training-log.csv", "w") as log:
        log.write("epoch,train_loss,train_accuracy,test_accuracy,learning_rate,rescaled_filters\n")
        for epoch in range(1, args.epochs + 1):
            begun = time.monotonic()
            rate = learning_rate(args, epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["share"]
            loss, train, rescaled = train_epoch(net, optimizer, labels, pictures, mean, args.batch)
            test = accuracy(net, test_labels, test_pictures, mean)
            log.write(f"{epoch},{loss:.5f},{train:.4f},{test:.4f},{rate:.6f},{rescaled}\n")
            log.flush()
            print(f"epoch {epoch}: loss {loss:.4f}, train {train:.4f}, test {test:.4f}, rescaled"
                  f" {rescaled}, {time.monotonic() - begun:.1f} s", flush=True)
            if epoch in CHECKPOINTS:
                to_onnx(net, args.out / "checkpoints" / f"epoch-{epoch:02d}.onnx")
    to_onnx(net, args.out / "zfnet-small.onnx")


if __name__ == "__main__":
    main()
