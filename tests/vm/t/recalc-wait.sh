# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmsetup wait` returns when a pass ends, fails, is frozen or given up, and at the
# first mismatch after a reset of the counter; and at nothing else.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
ramdisk 10
fill /dev/ram0 10
zero /dev/ram0 65536
opts=(internal_hash:crc32c block_size:4096 fix_padding)
format_volume "$(table /dev/ram0 0 - D "${opts[@]}")"
dm_create v "$(sb_now /dev/ram0 provided)" "$(table /dev/ram0 0 - D "${opts[@]}" recalculate no_recalculate)"
geometry /dev/ram0 v

# waiting EVENT: `dmsetup wait` in the background, for the event after this number
waiting() {
	dmsetup wait v "$1" > "$TMPDIR/woken" 2>&1 &
	waiter=$!
	sleep 0.3
	kill -0 $waiter 2> /dev/null || fail "dmsetup wait v $1 did not wait"
}

# woken WHAT: it comes back within a second or two
woken() {
	local end=$((SECONDS + 5))
	while kill -0 $waiter 2> /dev/null; do
		[ $SECONDS -lt $end ] || fail "dmsetup wait slept through: $1; events: $(events v)"
		nap 0.05
	done
	wait $waiter || fail "dmsetup wait: $(cat "$TMPDIR/woken")"
	n=$((n + 1))
	expect_eq "$(events v)" "$n" "event number after: $1"
	say "woken: $1"
}

quiet() {
	kill -0 $waiter 2> /dev/null || fail "dmsetup wait came back: $1"
	expect_eq "$(events v)" "$n" "event number after: $1"
}

n=$(events v)
waiting "$n"
msg v speed_max 1000
msg v speed_min 500
msg v reset_mismatches
dm_status v > /dev/null
expect_io ok read /dev/mapper/v 0 8
msg v idle
sleep 0.3
quiet "start, speeds, status, a read"
expect_action v recalculate
msg v frozen
woken "frozen by a message"

waiting "$n"
msg v speed_max 0
msg v idle
woken "end of the pass"
pass_over v || fail "woken before the end: $(dm_status v)"

waiting "$n"
disk_flip /dev/ram0 "$(data_sector 800)"
disk_flip /dev/ram0 "$(data_sector 1600)"
expect_io EILSEQ read /dev/mapper/v 800 8
woken "first mismatch"
waiting "$n"
expect_io EILSEQ read /dev/mapper/v 1600 8
expect_io EILSEQ read /dev/mapper/v 800 8
sleep 0.3
quiet "second mismatch"
msg v reset_mismatches
expect_eq "$(dm_field v 1)" 0 "mismatches after the reset"
expect_io EILSEQ read /dev/mapper/v 1600 8
woken "first mismatch after a reset"

waiting "$n"
msg v speed_max 1000
msg v reset_recalculate
sleep 0.3
quiet "a new pass"
msg v cancel_recalculate
woken "given up"
expect_eq "$(dm_field v 3)" - "position when given up"

# In the middle of a suspended device nobody is woken, and the wait survives it.
waiting "$n"
msg v reset_recalculate
dmsetup suspend v
sleep 0.2
quiet "suspend"
dmsetup resume v
quiet "resume"
msg v speed_max 0
woken "end of a pass that was suspended"

# As a script would say it; the end cannot slip through between the two.
msg v speed_max 20000
msg v reset_recalculate
timeout 20 dmsetup wait v "$n" > /dev/null || fail "dmsetup wait v $n: status $?"
pass_over v || fail "woken before the end: $(dm_status v)"
dm_remove v

# The pass is at its end, its last tags are on their way to a slow disk, when another table comes: that one finds
# nothing to do, and who waits is woken all the same.
modprobe dm-delay
modprobe -r brd
ramdisk 10 2
# Long enough to be seen there by a slow machine.
late=2000
[ "$DMI_KERNEL" != debug ] || late=8000
dm_create slow $((10 << 11)) "delay /dev/ram1 0 0 /dev/ram1 0 $late"
opts=(internal_hash:crc32c block_size:4096 meta_device:/dev/mapper/slow)
format_volume "$(table /dev/ram0 0 - D "${opts[@]}")"
dm_create v $((10 << 11)) "$(table /dev/ram0 0 - D "${opts[@]}" recalculate)"
n=$(events v)
waiting "$n"
# shellcheck disable=SC2016
wait_for '[ "$(dm_field v 5)" = "$((10 << 11))/$((10 << 11))" ]' 30
expect_action v recalculate
dmsetup load v --table "0 $((10 << 11)) $(table /dev/ram0 0 - D "${opts[@]}")"
dmsetup resume v
woken "end of a pass under the table before"
pass_over v || fail "not over: $(dm_status v)"
dm_remove v
dm_remove slow
