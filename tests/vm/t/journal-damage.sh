#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A journal that is damaged - any byte of an entry, a commit id, a MAC, a sector that cannot be read - does
# not take the volume away: all that is intact is replayed, a block whose entry was not damaged is what it
# must be, no block is anything that was never written, what was lost is counted in the status and said in
# the log, and the journal that is left is empty and good for the kernel's own target.
# host: yes
# kernels: 6.12
# cpus: 1
# timeout: 600

exec /usr/bin/python3 "$DMI_TOP/tests/vm/journal-damage" classes
