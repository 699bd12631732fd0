#!/usr/bin/env python3
"""Turns the results of `cargo bench -p benches --bench cached_token` into the table and the plot of the docs.

Puts a table of medians and of ratios to the clone of a shared HeaderValue on one thread, and the plot, in their place in
src/docs/performance.md. Needs nothing but Python."""

import html, json, os, re

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
ROOT = "target/criterion"
LIMIT = "limit: clone of a shared HeaderValue"


def medians():
    """{operation: {threads: nanoseconds per operation and thread}}"""
    found = {}
    for folder, _, files in os.walk(ROOT):
        if not folder.endswith("/new") or "benchmark.json" not in files:
            continue
        with open(os.path.join(folder, "benchmark.json")) as file:
            benchmark = json.load(file)
        group = re.match(r"cached token/(\d+) thread", benchmark["group_id"])
        if group:
            with open(os.path.join(folder, "estimates.json")) as file:
                median = json.load(file)["median"]["point_estimate"]
            found.setdefault(benchmark["function_id"], {})[int(group[1])] = median
    return found


results = medians()
threads = sorted(results[LIMIT])
unit = results[LIMIT][1]
order = sorted(results, key=lambda name: results[name][1])
table = ["| operation | " + " | ".join(f"{n} thread(s), ns | in clones | throughput" for n in threads) + " |",
         "|---|" + "---|" * 3 * len(threads)]
for name in order:
    cells = []
    for n in threads:
        time = results[name][n]
        cells += [f"{time:.1f}", f"{time / unit:.1f}", f"{n * results[name][1] / time:.2f}"]
    table.append(f"| {html.escape(name)} | " + " | ".join(cells) + " |")

WIDTH, BAR, LEFT = 820, 16, 370
most = max(n / results[name][n] for name in order for n in threads)
rows = []
y = 40
for name in order:
    rows.append(f'<text x="{LEFT - 8}" y="{y + BAR * len(threads) / 2 + 4}" text-anchor="end">{html.escape(name)}</text>')
    for n in threads:
        millions = 1000 * n / results[name][n]
        width = (WIDTH - LEFT - 90) * (n / results[name][n]) / most
        shade = ["#9ecae1", "#3182bd", "#08519c"][threads.index(n) % 3]
        rows.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 2}" fill="{shade}"/>')
        rows.append(f'<text x="{LEFT + width + 6:.0f}" y="{y + BAR - 4}">{millions:.0f} ({n})</text>')
        y += BAR
    y += 10
svg = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" style="min-width:40rem" font-family="sans-serif" font-size="12">'
    f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    f'<text x="{LEFT}" y="20">millions of operations per second, all threads together (threads)</text>'
    + "".join(rows) + "</svg>")
print(*table, sep="\n")

PAGE = "src/docs/performance.md"
with open(PAGE) as file:
    before, rest = file.read().split("| operation | 1 thread", 1)
after = rest.split("</div>", 1)[1]
with open(PAGE, "w") as file:
    file.write(before + "\n".join(table) + f"\n\n<div style=\"overflow-x:auto\">{svg}\n</div>" + after)
