# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What ctr-failslab says of mode D holds in modes J, with a journal that is encrypted and has a MAC or neither, and B: each
# allocation of the format, the load, the first resume, messages and the suspend may fail, and any while a pass
# and I/O are under way. No device fails for want of memory.
# kernels: debug
# long: yes
# cpus: 1
# timeout: 900
# append: slub_debug=U

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

dmesg -n 5
load_ours
ramdisk 10 2

sweep() {
	local mode=$1 held disk
	shift
	# All of them: else the RAM disk fails for want of memory, which is a disk that fails.
	for disk in /dev/ram0 /dev/ram1; do
		dd if=/dev/zero of=$disk bs=1M count=10 oflag=direct status=none
	done
	say "mode $mode"
	/usr/bin/python3 "$DMI_TOP/tests/vm/fail-nth.py" \
		"$(table /dev/ram0 0 - "$mode" internal_hash:crc32c block_size:4096 meta_device:/dev/ram1 \
			journal_sectors:1024 "$@")" /dev/ram1
	held=$(still_held)
	[ -z "$held" ] || fail "leaked after mode $mode: $held"
}

key=00112233445566778899aabbccddeeff
mark
sweep J "journal_mac:hmac(sha256):$key" "journal_crypt:cbc(aes):$key" fix_hmac commit_time:50
sweep J commit_time:50
sweep B sectors_per_bit:64 bitmap_flush_interval:50
