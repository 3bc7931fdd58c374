# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Every allocation of loading a table, of its first resume and of the messages that
# start a pass is made to fail, one after the other: the table is refused or works as
# if nothing had been, nothing leaks, and a table loaded after that works. A whole pass
# and I/O beside it get through while allocations fail at random.
# kernels: debug
# cpus: 1
# timeout: 420
# append: slub_debug=U

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

# The audit records of so many tables would be most of what the console has to print.
dmesg -n 5
load_ours
ramdisk 10 2
opts=(internal_hash:sha256 journal_mac:hmac\(sha256\):00112233445566778899aabbccddeeff fix_hmac block_size:4096
	meta_device:/dev/ram1 journal_sectors:128)
mark
/usr/bin/python3 "$DMI_TOP/tests/vm/fail-nth.py" "$(table /dev/ram0 0 - D "${opts[@]}")" /dev/ram1
held=$(still_held)
[ -z "$held" ] || fail "leaked: $held"
say "nothing is leaked"

# Shown to be no blind check: while a device is there, it holds something.
dm_create v 8 "$(table /dev/ram0 0 - D "${opts[@]}")"
[ -n "$(still_held)" ] || fail "the check for leaks does not see what a live device holds"
dm_remove v

