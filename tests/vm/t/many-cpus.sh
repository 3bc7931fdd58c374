# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# recalc-under-load on a machine with eight CPUs, in mode B as well.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 8
# timeout: 900

DMI_MODES=${DMI_MODES:-D J B}
. "$DMI_TOP/tests/vm/t/recalc-under-load.sh"
