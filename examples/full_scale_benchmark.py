"""How long the parts of a full-scale iteration take on this machine, with random weights.

    python examples/full_scale_benchmark.py                      # every part, on the GPU if there is one
    python examples/full_scale_benchmark.py --computed           # no part is run: what cards would take
    python examples/full_scale_benchmark.py --iterations 200     # whole iterations too, and how memory grows

Every part is multiplied by how often it runs in an iteration of ours (`--profile paper`) and of the published
script. On a CPU the process's own time counts, as if the machine were idle.
"""

import argparse
import copy
import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from stylehead.cost import CARDS, Counted, Meter, Script, computed_seconds, fused_attention, half_equivalents
from stylehead.cost.network_parts import PARTS, Builder, Part, Sizes, Times, Work
from stylehead.generator import PanoHead
from stylehead.methods import Networks, Stylizer
from stylehead.methods.config import StylizeConfig, profile
from stylehead.perception.depth import DepthEstimator
from stylehead.teacher import Teacher
from stylehead.teacher.parts import TeacherParts
from stylehead.teacher.schedule import Schedule
from stylehead.teacher.shapes import depth_skeleton, skeleton

TIERS = ("24", "12", "8", "script")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, run, and print."""
    options = _options(arguments)
    device, sizes = torch.device(options.device), Sizes.toy() if options.toy else Sizes.published()
    rows = []
    for name, part in PARTS.items():
        if options.parts and name not in options.parts:
            continue
        rows.append(measure(name, part, sizes, device, options))
        print(_line(rows[-1]), flush=True)
    totals = {who: _total(rows, who) for who in ("ours", "script")}
    for who, total in totals.items():
        print(f"{who:>24}: {json.dumps(total)}", flush=True)
    whole = []
    if options.iterations and device.type == "cuda":
        for tier in options.tiers:
            whole.append(iterate(tier, Builder(sizes, device, options.precision), options.iterations))
            print(json.dumps(whole[-1]), flush=True)
    elif options.iterations:
        print("Whole iterations are timed on a GPU only.")
    if options.json:
        options.json.write_text(json.dumps({"parts": rows, "totals": totals, "iterations": whole}, indent=1))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    here = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=here, help="cpu, cuda, cuda:1")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "fp16", "bf16"))
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts; a first one never does")
    parser.add_argument("--parts", nargs="*", choices=PARTS, help="only these")
    parser.add_argument("--iterations", type=int, default=0, help="whole iterations, on a GPU only")
    parser.add_argument("--tiers", nargs="*", choices=TIERS, default=TIERS, help="of the whole iterations")
    parser.add_argument("--computed", action="store_true", help="run nothing: count, divide by data sheets")
    parser.add_argument("--toy", action="store_true", help="tiny networks, to try the benchmark itself")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    return parser.parse_args(arguments)


# --------------------------------------------------------------------------------------------------- parts


def measure(
    name: str, part: Part, sizes: Sizes, device: torch.device, options: argparse.Namespace
) -> dict[str, Any]:
    """Count a part on paper, and time it unless only computed numbers are wanted."""
    precision = "fp16" if options.computed and options.precision == "auto" else options.precision
    row: dict[str, Any] = {"part": name, "ours": part.ours, "script": part.script}
    for way in ("forward", "backward") if part.learns else ("forward",):
        row[way] = counted = _count(part, sizes, Builder(sizes, device, precision).dtype, way)
    if options.computed:
        for card, facts in CARDS.items():
            for way in ("forward", "backward"):
                if way in row:
                    flops = {getattr(torch, k): v for k, v in row[way]["flops"].items()}
                    row[way][card] = 1e3 * computed_seconds(facts, flops, row[way]["traffic"])
        return row
    builder = Builder(sizes, device, precision)
    work = part.build(builder)
    forward, both = _timed(work, device, options.repeats)
    row["forward"]["ms"] = 1e3 * forward
    if "backward" in row:
        row["backward"]["ms"] = 1e3 * max(both - forward, 0.0)
    if device.type == "cuda":
        row["peak_gb"] = torch.cuda.max_memory_allocated(device) / 1e9
    else:
        row["peak_gb"] = counted["peak_gb"]
    del work, builder
    gc.collect()
    return row


def _count(part: Part, sizes: Sizes, dtype: torch.dtype, way: str) -> dict[str, Any]:
    """Count the forward pass of a part, or its backward pass alone, on paper."""
    builder = Builder(sizes, torch.device("meta"))
    builder.dtype = dtype
    work, meter = part.build(builder), Meter()
    with meter, fused_attention(meter):
        if way == "forward":
            with torch.no_grad(), meter.phase(way):
                work.forward()
        else:
            out = work.forward()
            with meter.phase(way):
                torch.autograd.grad(out, work.wanted, torch.empty_like(out), allow_unused=True)
    return _facts(meter.phases[way])


def _facts(counted: Counted) -> dict[str, Any]:
    return {
        "flops": {str(dtype).removeprefix("torch."): number for dtype, number in counted.flops.items()},
        "equivalents": half_equivalents(counted.flops),
        "traffic": counted.traffic_bytes,
        "launches": counted.operations,
        "peak_gb": counted.peak_bytes / 1e9,
    }


def _timed(work: Work, device: torch.device, repeats: int) -> tuple[float, float]:
    """Time the forward pass alone, and with its backward pass, in seconds: the fastest of several."""

    def forward() -> None:
        with torch.no_grad():
            work.forward()

    def both() -> None:
        out = work.forward()
        torch.autograd.grad(out, work.wanted, torch.ones_like(out), allow_unused=True)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    first = _fastest(forward, device, repeats)
    return first, _fastest(both, device, repeats) if work.wanted else first


def _fastest(run: Callable[[], None], device: torch.device, repeats: int) -> float:
    cuda = device.type == "cuda"
    clock, found = time.perf_counter if cuda else time.process_time, []
    for index in range(repeats + cuda):
        start = clock()
        run()
        if cuda:
            torch.cuda.synchronize(device)
        if index or not cuda:
            found.append(clock() - start)
    return min(found)


def _line(row: dict[str, Any]) -> str:
    """One part for people: milliseconds, 10^12 half-precision equivalents, rate, launches, memory."""
    words = [f"{row['part']:>24}"]
    for way in ("forward", "backward"):
        if way not in row:
            continue
        facts, shown = row[way], []
        shown.append(f"{facts['equivalents'] / 1e12:.3f} T")
        if "ms" in facts:
            rate = sum(facts["flops"].values()) / max(facts["ms"], 1e-9) / 1e9
            shown.append(f"{facts['ms']:.1f} ms ({rate:.3g} TFLOP/s)")
        shown += [f"{card} {facts[card]:.2f} ms" for card in CARDS if card in facts]
        words.append(f"{way} {', '.join(shown)}, {facts['launches']} launches")
    return "; ".join(words) + (f"; peak {row['peak_gb']:.2f} GB" if "peak_gb" in row else "")


def _total(rows: list[dict[str, Any]], who: str) -> dict[str, float]:
    """Add parts up, each as often as it runs."""
    total: dict[str, float] = {}
    for row in rows:
        times = Times(*row[who])
        for way, count in (("forward", times.forward), ("backward", times.backward)):
            for name, value in row.get(way, {}).items():
                if isinstance(value, int | float) and name != "peak_gb":
                    total[name] = total.get(name, 0.0) + count * value
    return {name: float(f"{value:.4g}") for name, value in total.items()}


# ---------------------------------------------------------------------------------------- whole iterations


def iterate(tier: str, builder: Builder, count: int) -> dict[str, Any]:
    """Run whole iterations of a memory tier, or of the script, and see how memory grows."""
    device = builder.device
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    step = _script(builder) if tier == "script" else _stylizer(builder, tier).step
    held, seconds = [], []
    for index, _ in enumerate(_times(step, count + 2)):
        torch.cuda.synchronize(device)
        seconds.append(time.perf_counter())
        if index in (2, count + 1):
            held.append(torch.cuda.memory_allocated(device) / 1e9)
    took = (seconds[-1] - seconds[1]) / (len(seconds) - 2)
    return {
        "iteration": tier,
        "card": torch.cuda.get_device_name(device),
        "ms": 1e3 * took,
        "peak_gb": torch.cuda.max_memory_allocated(device) / 1e9,
        "held_gb": held,
    }


def _times(step: Callable[[], Any], count: int) -> Iterator[None]:
    for _ in range(count):
        step()
        yield


def _teacher(builder: Builder) -> Teacher:
    networks = {}
    for role, config in builder.sizes.teacher.items():
        with torch.device("meta"):
            network = skeleton(role, config)
        networks[role] = builder.filled(network, builder.dtype)
    parts = TeacherParts(
        vae=networks["vae"],
        unet=networks["unet"],
        text_encoder=networks["text_encoder"],
        tokenizer=_Words(),
        controlnets={kind: networks[f"controlnet_{kind}"] for kind in ("canny", "depth")},
        schedule=Schedule(),
    )
    return Teacher(parts)


class _Words:
    """Stands for a tokenizer."""

    input_ids = torch.zeros(1, 77, dtype=torch.int64)

    def __call__(self, *_: object, **__: object) -> "_Words":
        return self


def _generators(builder: Builder) -> tuple[PanoHead, PanoHead]:
    with torch.device(builder.device):
        generator = PanoHead(builder.sizes.generator).eval()
    return generator, copy.deepcopy(generator)


def _stylizer(builder: Builder, tier: str) -> Stylizer:
    settings = {"prompt": "a", **profile("paper"), "perceptual_weight": 0.0, "memory": tier}
    depth = DepthEstimator(builder.filled(depth_skeleton(), builder.dtype), size=builder.sizes.depth)
    config = StylizeConfig.from_dict(settings)
    return Stylizer(*_generators(builder), config, Networks(_teacher(builder), depth_estimator=depth))


def _script(builder: Builder) -> Callable[[], None]:
    network = builder.filled(depth_skeleton(base=True), builder.dtype)
    depth = DepthEstimator(network, size=builder.sizes.depth)
    return Script(*_generators(builder), _teacher(builder), depth).step


if __name__ == "__main__":
    main()
