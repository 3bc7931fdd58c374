# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Several processes at once do to one device what they like: suspend and resume it, with and without flushing,
# load tables of other modes and options, take them away again, remove, create and rename it, send it every
# message, ask for status and table, let the disk below grow - under I/O, on disks that are fast or late. No
# I/O fails, every block reads as it was written last, nothing takes longer than half a minute (one on debug and kcsan),
# and then every tag is right, the module can be unloaded and nothing is left allocated. DMI_RUNTIME seconds.
# kernels: debug
# long-kernels: 6.12 kcsan
# long: yes
# timeout: 1800
# append: slub_debug=U

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

seed=${DMI_SEED:-$(date +%s)}
say "seed $seed"

dmesg -n 5
load_ours
# Grace periods as users have them.
echo 0 > /sys/kernel/rcu_expedited
mark
/usr/bin/python3 "$DMI_TOP/tests/vm/races.py" "${DMI_RUNTIME:-240}" "$seed"
held=$(still_held)
[ -z "$held" ] || fail "leaked: $held"
expect_no_log 'Checksum failed|cannot resume|failed: |Error on|not saved|is lost|cannot verify|cannot store'
unload
