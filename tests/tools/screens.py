#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""screens.py FILE: draws the lines of a terminal's screens, each line a screen, as a picture (SVG)."""

import sys
from html import escape

WIDE, HIGH, MARGIN = 8.4, 18, 10


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        lines = [line.rstrip() for line in f if line.strip()]
    columns = max(80, *map(len, lines))
    width, step = columns * WIDE + 2 * MARGIN, HIGH + 3 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{step * len(lines)}">')
    for n, line in enumerate(lines):
        print(f'<rect y="{step * n}" width="{width:.0f}" height="{step - MARGIN}" rx="4" fill="#1c1c1c"/>')
        print(f'<text x="{MARGIN}" y="{step * n + HIGH + MARGIN // 2}" font-family="monospace" font-size="14" '
              f'fill="#d0d0d0" textLength="{len(line) * WIDE:.0f}" xml:space="preserve">{escape(line)}</text>')
    print("</svg>")


main()
