# SPDX-License-Identifier: GPL-2.0-only
"""Checks text in Prometheus' exposition format (version 0.0.4) and node_exporter's textfile rules.

    exposition.py FILE

Rules: every line is a comment, a sample or blank, and the last one ends with a newline. HELP and
TYPE come at most once each for a metric, before its samples, and the samples of a metric are
together. Here both are demanded. Names and labels are spelled as they may be, label values
escaped, no label comes twice, no two samples have the same name and labels, values are numbers,
counters end in _total, are finite and not negative, base units are used, and there are no
timestamps, which the textfile collector refuses.
"""

import re
import sys
from pathlib import Path

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)( -?\d+)?")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")
# What promtool's linter objects to as well.
BAD_UNITS = ("kib", "kilobytes", "megabytes", "sectors", "milliseconds", "percent")


def labels(text, where):
    found = {}
    while text:
        match = LABEL.match(text)
        if not match or match[3] == "," and match.end() == len(text):
            raise ValueError(f"{where}: labels: {text!r}")
        if match[1] in found or match[1].startswith("__"):
            raise ValueError(f"{where}: label {match[1]}")
        found[match[1]] = match[2]
        text = text[match.end():]
    return found


def check(text):
    """Returns {name: {labels as a sorted tuple: value}}; raises ValueError."""
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    helps, types, samples, last = set(), {}, {}, None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        where = f"line {number}"
        if not line:
            continue
        if line.startswith("#"):
            match = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.*)", line)
            if not match:
                if re.match(r"#\s*(HELP|TYPE)\b", line):
                    raise ValueError(f"{where}: {line!r}")
                continue
            kind, name, rest = match.groups()
            if name in samples:
                raise ValueError(f"{where}: {kind} of {name} comes after its samples")
            if kind == "HELP":
                if name in helps or not rest or re.search(r"\\(?![\\n])", rest):
                    raise ValueError(f"{where}: HELP of {name}")
                helps.add(name)
            else:
                if name in types or rest not in TYPES:
                    raise ValueError(f"{where}: TYPE of {name}")
                types[name] = rest
            continue
        match = SAMPLE.fullmatch(line)
        if not match:
            raise ValueError(f"{where}: {line!r}")
        name, inside, value, timestamp = match.groups()
        if timestamp:
            raise ValueError(f"{where}: a timestamp")
        if name not in types or name not in helps:
            raise ValueError(f"{where}: {name} without HELP and TYPE")
        if name in samples and last != name:
            raise ValueError(f"{where}: the samples of {name} are not together")
        last = name
        number_ = float(value.replace("Inf", "inf")) if re.fullmatch(
            r"NaN|[+-]?Inf|[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value) else None
        if number_ is None:
            raise ValueError(f"{where}: value {value!r}")
        key = tuple(sorted(labels(inside or "", where).items()))
        if key in samples.setdefault(name, {}):
            raise ValueError(f"{where}: {name} {key} twice")
        samples[name][key] = number_
        if types[name] == "counter" and not (name.endswith("_total") and 0 <= number_ < float("inf")):
            raise ValueError(f"{where}: counter {name}")
        if types[name] != "counter" and name.endswith("_total"):
            raise ValueError(f"{where}: {name} is no counter")
        if any(unit in name.split("_") for unit in BAD_UNITS):
            raise ValueError(f"{where}: {name} is not in a base unit")
    for name in types:
        if name not in samples:
            raise ValueError(f"{name} has no samples")
    return samples


if __name__ == "__main__":
    try:
        result = check(Path(sys.argv[1]).read_text())
        print(f"{len(result)} metrics, {sum(map(len, result.values()))} samples")
    except (ValueError, OSError) as error:
        sys.exit(f"exposition: {error}")
