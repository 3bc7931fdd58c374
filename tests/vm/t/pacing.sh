# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# speed_max is kept within 15 %, alone and beside I/O; while there is foreground I/O
# the pass goes on at speed_min and no faster than a little more, with speed_min 0
# not at all; when the I/O ends it goes at full speed again; and a read beside a
# paced pass never waits long.
# long: yes
# kernels: 6.12
# long-kernels: 6.1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
ramdisk 256 2
opts=(internal_hash:crc32c block_size:4096 meta_device:/dev/ram1)
format_volume "$(table /dev/ram0 0 - D "${opts[@]}")"
dm_create v "$(sb_now /dev/ram1 provided)" "$(table /dev/ram0 0 - D "${opts[@]}" recalculate no_recalculate)"

# ms: a clock
ms() { echo $(($(date +%s%N) / 1000000)); }

# rate SECONDS: KiB/s of the pass as its position tells
rate() {
	local m0 m1 t0 t1
	# The time taken to look counts as time to work: on a busy machine it is long.
	t0=$(ms) m0=$(pass_mark v)
	sleep "$1"
	m1=$(pass_mark v) t1=$(ms)
	[ "$(pass_action v)" = recalculate ] || fail "the pass ended while it was measured: $(dm_status v)"
	echo $(((m1 - m0) * 500 / (t1 - t0)))
}

# within VALUE LOW HIGH WHAT
within() {
	say "$4: $1 KiB/s"
	(($1 >= $2 && $1 <= $3)) || fail "$4: $1 KiB/s, not $2 to $3"
}

# reads: how many the device has served
reads() { awk '{ print $1 }' "$(stat_of v)"; }

has_read() { [ "$(reads)" -gt "$1" ]; }

# held SPEED WHAT: the rate is never much above SPEED, and near it in the best of three
# measurements: a machine with other things to do wakes the pass late.
held() {
	local rate
	for _ in 1 2 3; do
		rate=$(rate 2)
		say "$2: $rate KiB/s"
		[ "$rate" -le $(($1 * 115 / 100)) ] || fail "$2: $rate KiB/s"
		[ "$rate" -lt $(($1 * 85 / 100)) ] || return 0
	done
	fail "$2: only $rate KiB/s"
}

# busy: one reader that always has a bio under way, in the background
busy() {
	fio --name=load --filename=/dev/mapper/v --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=4 \
		--time_based --runtime=600 --output=/dev/null &
	fio=$!
	# It takes its time to begin.
	local begun
	begun=$(reads)
	wait_for "has_read $((begun + 500))" 20
}

quiet() {
	kill $fio
	wait $fio || true
}

for max in 2000 10000 30000; do
	msg v speed_max $max
	msg v reset_recalculate
	sleep 0.3
	held $max "speed_max $max"
	within "$(dm_field v 6)" $((max / 2)) $((max * 120 / 100)) "rate in the status"
done

# Beside I/O: the floor, which is a ceiling, too, as long as there is I/O.
msg v speed_max 0
msg v speed_min 6000
msg v frozen
busy
msg v reset_recalculate
sleep 0.3
held 6000 "speed_min 6000 beside I/O"
msg v speed_min 0
sleep 0.3
within "$(rate 2)" 0 300 "speed_min 0 beside I/O"
# A floor above the ceiling is no floor.
msg v speed_min 20000
msg v speed_max 4000
sleep 0.3
held 4000 "speed_max 4000 below speed_min, beside I/O"
msg v speed_max 0
msg v speed_min 2000
sleep 0.3
slow=$(rate 2)
quiet
msg v reset_recalculate
sleep 0.3
begin=$(ms)
wait_pass v 30
full=$((262144 * 1000 / ($(ms) - begin + 300)))
within "$full" $((slow * 4)) 100000000 "full speed when the I/O is over (beside it: $slow)"

# What a reader feels, from before it asks until it has it: alone, and beside a pass at its default floor.
latency() {
	fio --name=l --filename=/dev/mapper/v --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=1 \
		--time_based --runtime=4 --lat_percentiles=1 --output-format=json --output="$TMPDIR/l" > /dev/null 2>&1
	/usr/bin/python3 -c 'import json, sys
p = json.load(open(sys.argv[1]))["jobs"][0]["read"]["lat_ns"]["percentile"]
print(int(p["99.000000"]) // 1000)' "$TMPDIR/l"
}
alone=$(latency)
msg v speed_min 10240
begun=$(reads)
latency > "$TMPDIR/beside" &
reader=$!
# Without reads, before and after, the pass would be at full speed, and soon through.
msg v speed_max 20480
wait_for "has_read $((begun + 100))" 20
msg v reset_recalculate
wait $reader
expect_action v recalculate
beside=$(< "$TMPDIR/beside")
say "99 % of the reads: within $alone us alone, $beside us beside the pass"
[ "$beside" -le $((alone * 20 + 20000)) ] || fail "reads beside the pass take up to $beside us, alone $alone us"
msg v frozen
dm_remove v
