"""The results of tests/benchmark.py, as text."""

from collections.abc import Iterator
from typing import Any, NamedTuple

WIDTH = 60  # of the lines' names


class Change(NamedTuple):
    """Of a line or of a peak: what was, what is, and new / old."""

    name: str
    old: float
    new: float
    ratio: float


def clock(seconds: float) -> str:
    if seconds >= 100:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{1e3 * seconds:.{0 if seconds >= 0.1 else 1}f} ms"


def columns(name: str, *cells: str) -> str:
    return (f"{name:{WIDTH}}" + "".join(f"{cell:>12}" for cell in cells)).rstrip()


def table(results: dict[str, Any]) -> Iterator[str]:
    """The lines of the table and what is said below it."""
    yield columns("", "median", "min", "max", "peak GB", "of peak")
    for name, line in results["lines"].items():
        share = line["share_of_peak"]
        yield columns(
            name,
            *(clock(line[key]) for key in ("median", "min", "max")),
            f"{line['peak_GB']:.2f}",
            f"{share:.0%}" if share else "",
        )
    yield ""
    yield from remarks(results)
    splits = {name: line["split"] for name, line in results["lines"].items() if line["split"]}
    if splits:
        yield ""
        yield from split_table(splits)


def remarks(results: dict[str, Any]) -> Iterator[str]:
    for precision, best in results["peak_GFLOP_per_s"].items():
        each = [max(found[precision].values()) for found in results["peaks"]]
        before_and_after = ", ".join(f"{rate:.0f}" for rate in each)
        yield f"peak of {precision} convolutions: {best:.0f} GFLOP/s ({before_and_after})"
    lines = results["lines"]
    for name, line in lines.items():
        if line["part_of"] in lines:
            share = line["median"] / lines[line["part_of"]]["median"]
            yield f"{name}: {share:.0%} of {line['part_of']}"
        if line["frames_per_s"]:
            yield f"{name}: {line['frames_per_s']:,.0f} frames/s"
    yield from machine_lines(results["machine"])


def machine_lines(machine: dict[str, Any]) -> Iterator[str]:
    """Where and of what the timings were taken."""
    about = [machine["cpu"], f"{machine['cores']} cores", f"{machine['threads']} threads"]
    about += [machine["instructions"], f"{'' if machine['bf16'] else 'no '}bfloat16 instructions"]
    about += [machine["gpu"] or "no GPU", f"torch {machine['torch']}"]
    about += [f"{name}={value}" for name, value in machine["limits"].items()]
    yield ", ".join(about)
    yield f"commit {machine['commit']}, {machine['date']}"


def split_table(splits: dict[str, dict[str, float]]) -> Iterator[str]:
    """A phase in a row, a job in a column."""
    yield "where a job's time goes, in seconds:"
    for number, name in enumerate(splits, 1):
        yield f"({number}) {name}"
    yield f"{'':14}" + "".join(f"{f'({number})':>10}" for number in range(1, len(splits) + 1))
    for phase in next(iter(splits.values())):
        yield f"{phase:14}" + "".join(f"{split[phase]:10.2f}" for split in splits.values())


# ------------------------------------------------------------------ two sittings


def changes(old: dict[str, Any], new: dict[str, Any], measure: str) -> list[Change]:
    """Of the lines that both have. `measure`: median or peak_GB."""
    both = [name for name in new["lines"] if name in old["lines"]]
    pairs = [(name, *(each["lines"][name][measure] for each in (old, new))) for name in both]
    return [Change(name, was, now, now / was) for name, was, now in pairs]


def comparison(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    yield f"commit {old['machine']['commit']} (old) and {new['machine']['commit']} (new)"
    yield columns("", "old", "new", "new/old", "old GB", "new GB", "new/old")
    for time, memory in zip(changes(old, new, "median"), changes(old, new, "peak_GB"), strict=True):
        times = clock(time.old), clock(time.new), f"{time.ratio:.2f}"
        yield columns(
            time.name, *times, f"{memory.old:.2f}", f"{memory.new:.2f}", f"{memory.ratio:.2f}"
        )
    yield ""
    was, now = (each["peak_GFLOP_per_s"] for each in (old, new))
    for precision in was.keys() & now.keys():
        ratio = now[precision] / was[precision]
        yield (
            f"peak of {precision} convolutions: {was[precision]:.0f} (old) and "
            f"{now[precision]:.0f} GFLOP/s (new), new/old {ratio:.2f}"
        )
    if not was.keys() & now.keys():
        yield "no peak was measured in both: whether the machine was as fast is not known"
