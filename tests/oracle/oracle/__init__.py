# SPDX-License-Identifier: GPL-2.0-only
"""An independent reader of dm-integrity volumes; see ../README.md.

Written from the description of the format alone. It shares nothing with the
module, so that it can be its judge. Section numbers in the comments are those of
Documentation/on-disk-format.rst.
"""


class Refused(Exception):
    """No such volume, or a request that makes no sense: exit status 2."""
