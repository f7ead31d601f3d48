"""Tables of a benchmark as Markdown, CSV, JSON or LaTeX."""

import csv
import io
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pde_video.bench.measuring import MEASURES, Benchmark, Row
from pde_video.errors import ParameterError
from pde_video.video.outputs import check_output, reported, whole

_COLUMNS = {  # Headings and digits of the measures.
    "psnr": ("PSNR, dB", 2),
    "ssim": ("SSIM", 4),
    "warped_error": ("warped error", 2),
    "vmaf": ("VMAF", 1),
    "held_out": ("held-out frames", 2),
    "masked": ("masked pixels", 2),
    "ms_per_frame": ("ms/frame", 1),
    "processor_ms_per_frame": ("processor ms/frame", 1),
}
_HOW = (
    "Quality and speed of denoisers on clips with added noise: this library's and others'. For anyone who chooses a "
    "method.",
    "PSNR and SSIM are means over the frames. Warped error is the root-mean-square difference, of 255, between a "
    "frame and the next one warped along the motion of the clean clip, where both show the same; compare it with the "
    "clean clip's, which is not zero. Times are of one warm run over the whole clip: elapsed, and summed over "
    "processors.",
    "Methods of this library estimate the noise. Their few constants (contrasts, smoothness and thresholds of "
    "`denoise`, the same for all noise; contrast 0.2 σ and time 2 of the plain space-time Perona–Malik) were tuned on "
    "the three clips of docs/benchmark.md. Every other method has the best of several strengths, chosen for each clip "
    "and noise by comparison with the clean clip; slow ones choose it on the middle 128 × 128 pixels. The strength is "
    "shown, and the time is of the run with it. Filters of ffmpeg run in a separate process through pipes, and their "
    "time includes its start. They and OpenCV's clip values to [0, 1]; ffmpeg's nlmeans and OpenCV's round them to 8 "
    "bits.",
    "Means are over the clips, ± the standard deviation between them. BM3D: Dabov et al. (2007), "
    "doi:10.1109/TIP.2007.901238; BM4D: Maggioni et al. (2013), doi:10.1109/TIP.2012.2210725.",
)
_BLIND = (
    "Denoisers on footage whose truth is not known: how well they predict noisy values that they were not given. For "
    "anyone who chooses a method for such footage.",
    "*Held-out frames*: one frame in four is taken away; its neighbours, denoised without it, are compared with it, "
    "warped along the motion, where both show the same. *Masked pixels*, the J-invariant loss of Batson & Royer "
    "(arXiv:1901.11365): one pixel in sixteen, another one in every frame, is replaced by the mean of its neighbours, "
    "and the result is compared with what it was. Both are mean squares, of 255: the error of the method plus the "
    "noise, which is the same for all. Lower is better. Only differences have a meaning, and only on the same clip.",
    "Held-out frames need noise that is new in every frame. Masked pixels need that, and noise that neighbouring "
    "pixels do not share: after demosaicing, resizing or blur, this measure is lowest where noise is left. "
    "Neither sees a fixed pattern. Times are of the frames that are not held out. Each method of others has the "
    "strength, of several, with the least error on held-out frames; slow ones choose it on the middle 128 × 128 "
    "pixels.",
)
Cell = tuple[float | None, float | None]  # A mean and its standard deviation.


def means(rows: list[Row], measures: Sequence[str] = MEASURES) -> dict[tuple[str, str], dict[str, Cell]]:
    """Return mean and standard deviation over the clips by (noise, method); None where a clip has no value."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.noise, row.method), []).append(row)
    clips = len({row.clip for row in rows})
    return {
        key: {name: _spread([getattr(row, name) for row in group], clips) for name in measures}
        for key, group in groups.items()
    }


def _spread(values: list[Any], clips: int) -> Cell:
    if None in values or len(values) < clips:
        return None, None
    return statistics.fmean(values), statistics.stdev(values) if clips > 1 else None


def where_peers_win(benchmark: Benchmark) -> list[str]:
    """Return a line for each noise with the peers whose mean PSNR is above that of every method of this library."""
    kinds = {row.method: row.kind for row in benchmark.rows}
    found, lines = means(benchmark.rows), []
    for noise in benchmark.facts["noise"]:
        level = {
            method: (cell["psnr"][0], cell["ms_per_frame"][0] or 0.0)
            for (label, method), cell in found.items()
            if label == noise and kinds[method] != "reference" and cell["psnr"][0] is not None
        }
        ours = {name: value for name, value in level.items() if kinds[name] == "pde-video"}
        peers = {name: value for name, value in level.items() if kinds[name] == "peer"}
        if not ours or not peers:
            continue
        best = max(ours, key=lambda name: ours[name])
        best_psnr, best_time = ours[best]
        better = [
            f"{name} by {value - best_psnr:.2f} dB at {float(f'{time / best_time:.2g}'):g} times the time"
            for name, (value, time) in sorted(peers.items(), key=lambda item: -item[1][0])
            if value > best_psnr
        ]
        told = f"ahead of “{best}” are {', '.join(better)}" if better else "no peer in the table is ahead"
        lines.append(f"{noise}: {told}.")
    return lines


def _shown(cells: Mapping[str, Cell]) -> list[str]:
    """Return the measures as text, with deviations where there are any."""
    return [
        " ± ".join(f"{number:.{_COLUMNS[name][1]}f}" for number in cell if number is not None) or "–"
        for name, cell in cells.items()
    ]


def _sections(benchmark: Benchmark) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return a title, a header and rows of text for each table."""
    clips = list(benchmark.facts["clips"])
    every, headings = means(benchmark.rows, benchmark.measures), [_COLUMNS[name][0] for name in benchmark.measures]
    sections = []
    for noise in benchmark.facts["noise"]:
        rows = [row for row in benchmark.rows if row.noise == noise]
        methods = list(dict.fromkeys(row.method for row in rows))
        lines = [[method, *_shown(every[noise, method])] for method in methods]
        sections.append((f"{noise}: mean of {len(clips)} clip{'s' * (len(clips) > 1)}", ["method", *headings], lines))
        single = []
        for row in rows:
            cells: dict[str, Cell] = {name: (getattr(row, name), None) for name in benchmark.measures}
            single.append([row.clip, row.method, *_shown(cells), row.strength or "–"])
        sections.append((f"{noise}: each clip", ["clip", "method", *headings, "strength"], single))
    if benchmark.first_calls:
        calls = [[name, f"{seconds:.1f}"] for name, seconds in benchmark.first_calls.items()]
        sections.append(("First call of a fresh process, compilation included", ["method", "seconds"], calls))
    return sections


def _how(benchmark: Benchmark) -> tuple[str, ...]:
    return _HOW if benchmark.measures == MEASURES else _BLIND


def _meanings(benchmark: Benchmark) -> list[str]:
    return [f"{label}: {meaning}" for label, meaning in benchmark.facts["noise"].items()]


def _facts(benchmark: Benchmark) -> list[str]:
    facts = benchmark.facts
    lines = [f"pde-video {facts['pde-video']}; seed {facts['seed']}, a new generator for each clip and noise"]
    for name, clip in facts["clips"].items():
        size = " × ".join(map(str, clip["shape"]))
        lines.append(f"{name}: {clip['made']}, {size}, SHA-256 of the float32 values {clip['sha256']}")
    for title in ("peers", "machine"):
        if facts[title]:
            lines.append(f"{title}: " + ", ".join(f"{name} {value}" for name, value in facts[title].items()))
    if facts.get("command"):
        lines.append(f"made by: {facts['command']}")
    return lines


def table(header: list[str], rows: Iterable[list[str]], left: int = 1) -> str:
    """Return a table in Markdown; all columns but the first `left` are aligned to the right."""
    lines = [header, ["---"] * left + ["--:"] * (len(header) - left), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(benchmark: Benchmark) -> str:
    """Return the page: how it is measured, the noise, where peers win, what is missing, tables, and conditions."""
    parts = ["# Benchmark", *_how(benchmark)]
    noises = [f"{label}: {meaning}" for label, meaning in benchmark.facts["noise"].items()]
    for title, items in (
        ("Noise", noises),
        ("Where peers win", where_peers_win(benchmark)),
        ("Methods left out", benchmark.notes),
    ):
        if items:
            parts += [f"## {title}", "\n".join(f"- {item}" for item in items)]
    for title, header, lines in _sections(benchmark):
        parts += [f"## {title}", table(header, lines, sum(name in ("clip", "method") for name in header))]
    parts += ["## Conditions", "\n".join(f"- {line}" for line in _facts(benchmark))]
    return "\n\n".join(parts) + "\n"


def comma_separated(benchmark: Benchmark) -> str:
    """Return a line for each row, then means and deviations over the clips, as clips “mean” and “deviation”."""
    facts, text = benchmark.facts, io.StringIO()
    kinds = {row.method: row.kind for row in benchmark.rows}
    fixed = {"seed": facts["seed"], "pde_video": facts["pde-video"]}
    fixed |= {title: ", ".join(f"{n} {value}" for n, value in facts[title].items()) for title in ("peers", "machine")}
    names = [*Row.__dataclass_fields__, "first_call_seconds", "clip_sha256", *fixed]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in benchmark.rows:
        first = benchmark.first_calls.get(row.method)
        sha256 = facts["clips"][row.clip]["sha256"]
        writer.writerow({**asdict(row), "first_call_seconds": first, "clip_sha256": sha256, **fixed})
    for (noise, method), cells in means(benchmark.rows, benchmark.measures).items():
        for k, clip in enumerate(("mean", "deviation")):
            values = {name: cell[k] for name, cell in cells.items()}
            writer.writerow({"noise": noise, "clip": clip, "method": method, "kind": kinds[method], **values, **fixed})
    return text.getvalue()


def as_json(benchmark: Benchmark) -> str:
    """Return all results; what could not be measured is null."""
    averages = []
    for (noise, method), cells in means(benchmark.rows, benchmark.measures).items():
        named = {name: {"mean": mean, "deviation": deviation} for name, (mean, deviation) in cells.items()}
        averages.append({"noise": noise, "method": method, **named})
    everything = {**asdict(benchmark), "means": averages, "where_peers_win": where_peers_win(benchmark)}
    return json.dumps(everything, indent=1, ensure_ascii=False, allow_nan=False, default=str) + "\n"


_SYMBOLS = {"±": r"$\pm$", "σ": r"$\sigma$", "×": r"$\times$", "–": "--"}
_LATEX = str.maketrans({sign: rf"\{sign}" for sign in "&%#_"} | _SYMBOLS)


def latex(benchmark: Benchmark) -> str:
    """Return a tabular for each table, which needs no package; conditions and notes are comments above."""
    parts = [f"% {line}" for line in (*_how(benchmark), *_meanings(benchmark), *benchmark.notes, *_facts(benchmark))]
    for title, header, lines in _sections(benchmark):
        columns = "".join("l" if name in ("clip", "method") else "r" for name in header)
        head, *body = (" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in [header, *lines])
        parts += ["", f"% {title}", rf"\begin{{tabular}}{{{columns}}}", r"\hline", head, r"\hline", *body]
        parts += [r"\hline", r"\end{tabular}"]
    return "\n".join(parts) + "\n"


_FORMATS = {".md": markdown, ".csv": comma_separated, ".json": as_json, ".tex": latex}


def format_of(path: Path) -> Callable[[Benchmark], str]:
    """Return the function that formats a benchmark for a file, by its ending."""
    if path.suffix.lower() not in _FORMATS:
        raise ParameterError(f"{path} ends in {path.suffix!r}; a table ends in one of {', '.join(_FORMATS)}")
    return _FORMATS[path.suffix.lower()]


def check(paths: Sequence[Path], force: bool) -> None:
    """Raise, before anything is measured, if one of the files cannot be written."""
    for path in paths:
        format_of(path)
        check_output(path, force)
    if len({path.resolve() for path in paths}) < len(paths):
        raise ParameterError("two outputs are the same file; name each once")


def write(benchmark: Benchmark, paths: Sequence[Path], force: bool) -> None:
    """Write the benchmark to each file, completely or not at all."""
    for path in paths:
        with reported(path), whole(path, force) as temporary:
            temporary.write_text(format_of(path)(benchmark), encoding="utf-8")
