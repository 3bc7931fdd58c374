#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Random damage in a journal, in the clear or below its encryption, never makes the kernel complain, the
# volume comes up, but where nothing in the journal matches any more, and can be closed, and no block reads as
# something that was never written. 1000 journals in the long form.
# host: yes
# kernels: debug
# cpus: 1
# timeout: 1200

exec /usr/bin/python3 "$DMI_TOP/tests/vm/journal-damage" fuzz
