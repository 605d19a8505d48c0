# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Quantities of Kubernetes as numbers: 1Gi is more than 1G, and 1024Mi is the same as 1Gi."""

from __future__ import annotations

import fractions
import re
import typing as t

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d+)|([KMGTPE]i|[numkMGTPE])?)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def quantity(text: t.Any) -> fractions.Fraction:
    """The exact number that a quantity means. Raises ValueError where it means none."""
    match = _FORM.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is no quantity")
    exponent, suffix = match[2], match[3] or ""
    if suffix in _BINARY:
        factor = fractions.Fraction(2 ** _BINARY[suffix])
    else:
        power = int(exponent) if exponent else _DECIMAL[suffix]
        factor = fractions.Fraction(10**power) if power >= 0 else fractions.Fraction(1, 10**-power)
    return fractions.Fraction(match[1]) * factor


def size_words(number: float) -> str:
    """A number of bytes as people read it, such as 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.3g} {unit}" if unit != "B" else f"{number:.0f} B"
        number /= 1024
    return f"{number:.3g} TiB"
