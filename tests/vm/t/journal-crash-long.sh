#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# As journal-crash, with more than 10,000 states of many volumes: after a crash at any moment of a workload in
# mode J with discards - between any two writes to the disk, with writes that were not flushed there, missing or
# torn - each block is an old or a new version of what was written, or discarded, its tag matches, and nothing is
# lost whose flush or FUA was acknowledged. The replay gives what the oracle says, also the kernel's own target's;
# cut anywhere and repeated it gives the same, and after it the journal goes on so that a second crash loses nothing
# either.
# long: yes
# host: yes
# kernels: 6.1 6.12
# timeout: 7200

DMI_STATES=${DMI_STATES:-10500} exec /usr/bin/python3 "$DMI_TOP/tests/vm/journal-crash"
