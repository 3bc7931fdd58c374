#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Random damage in a journal, in the clear or below its encryption, never makes the kernel complain, the
# volume comes up and can be closed, and no block reads as something that was never written.
# host: yes
# kernels: debug
# long: yes
# timeout: 600

exec /usr/bin/python3 "$DMI_TOP/tests/vm/journal-damage" fuzz
