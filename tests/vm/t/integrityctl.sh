# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# integrityctl does with real devices what its manual says: every command, with our target and with
# the kernel's own, in text and as JSON that fits the schema; the exit statuses; watch in a real
# terminal and into a log; keys stay hidden; the exporter's metrics are in Prometheus' format; the
# completion knows the devices.
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

export PATH=$DMI_TOP/build/tools:$PATH
KEY=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
P=131072
BASE=(block_size:4096 meta_device:/dev/ram1)

# ctl STATUS ARGS...: it must end with that status; what it printed is in OUT, JSON of it in JSON.
# Commands that do something are not repeated for that: only those that look.
ctl() {
	local want=$1 code=0
	shift
	OUT=$(integrityctl "$@" 2>&1) || code=$?
	[ "$code" -eq "$want" ] || fail "integrityctl $*: status $code, expected $want: $OUT"
	[[ $OUT != *001122* ]] || fail "a key is printed: $OUT"
}

# json STATUS ARGS...: what it prints as JSON is left in a file, to be validated at the end (Python takes
# its time here), and the last object in JSON
json() {
	local want=$1 code=0
	shift
	integrityctl "$@" --json > "$TMPDIR/json" 2> "$TMPDIR/err" || code=$?
	[ "$code" -eq "$want" ] || fail "integrityctl $* --json: status $code, expected $want: $(cat "$TMPDIR/json" "$TMPDIR/err")"
	cat "$TMPDIR/json" >> "$TMPDIR/all.json"
	! grep -q 001122 "$TMPDIR/json" || fail "a key is printed"
	JSON=$(tail -n 1 "$TMPDIR/json")
}

# in_json FILTER WANT: what jq finds in JSON
in_json() { expect_eq "$(jq -r "$1" <<< "$JSON")" "$2" "$1"; }

load_ours
ramdisk 64 2
ctl 0 list
expect_eq "$(wc -l <<< "$OUT")" 1 "lines of an empty list"
ctl 3 status v
expect_match "$OUT" "no such device"
ctl 0 watch
dm_create other 8 linear /dev/ram0 0
ctl 3 status other
dm_remove other

# --- looking at a recalculation ---

format_volume "$(table /dev/ram0 0 4 D internal_hash:crc32c "${BASE[@]}")"
dm_create v $P "$(table /dev/ram0 0 4 D internal_hash:crc32c "${BASE[@]}")"
ctl 0 list
expect_match "$OUT" "v +D +crc32c +64.0 MiB +idle +- +0"
ctl 0 watch v
expect_match "$OUT" "nothing to do"
# Commands take their time here.
ctl 0 speed v --max 1024
json 0 recalculate v
in_json .device.state recalculate
ctl 0 status v
expect_match "$OUT" "state +recalculate"
expect_match "$OUT" "recalculation +pending"
for name in v /dev/mapper/v "$(dmsetup info -c --noheadings -o major,minor --separator : v)"; do
	json 0 status "$name"
	in_json '.device | .name, .mode, .hash, .has_control, .recalculation, .provided_sectors' \
		"$(printf 'v\nD\ncrc32c\ntrue\npending\n%s' $P)"
done
json 0 list
in_json '.devices | length' 1

# --- watch: into a log ---

ctl 0 speed v --max 16384
began=$SECONDS
ctl 0 watch --interval 1
say "$OUT"
expect_match "$OUT" "^v: recalculate  [0-9.]+%  [0-9]+/$P sectors.*MiB/s  0:0[01]:[0-9][0-9] left"
expect_match "$(tail -n 1 <<< "$OUT")" "^v: idle  100.0%  $P/$P sectors.* - has ended\$"
[ $((SECONDS - began)) -ge 2 ] || fail "watch did not wait"
[[ $OUT != *$'\033'* ]] || fail "control characters in a log"
is_action v idle || fail "watch ended before the pass: $(dm_status v)"

# --- watch: in a terminal, looked at ---

ctl 0 speed v --max 6144
ctl 0 restart v
screen() { tmux -L dmi capture-pane -p -t w; }
tmux -L dmi -f /dev/null new-session -d -s w -x 80 -y 6 \
	"integrityctl watch v; echo \$? > $TMPDIR/status; sleep 60"
seen=0
while [ ! -e "$TMPDIR/status" ]; do
	text=$(screen)
	# The rate is told a moment later.
	if [[ $text == *left* ]]; then
		seen=$((seen + 1))
		[ "$seen" -ne 2 ] || say "$text"
		[ "$seen" -ne 4 ] || echo "$text" > "$RESULTS/watch.txt"
		expect_match "$text" '^v  recalculate  \[=*> *\] +[0-9]+\.[0-9]%  [0-9.]+ MiB/s  0:00:[0-9]+ left'
		expect_eq "$(grep -c . <<< "$text")" 1 "lines on the screen"
	fi
	sleep 0.3
done
expect_eq "$(cat "$TMPDIR/status")" 0 "status of watch"
[ "$seen" -ge 2 ] || fail "only $seen pictures"
text=$(screen)
say "$text"
echo "$text" >> "$RESULTS/watch.txt"
expect_match "$text" '^v  idle +\[=+\] 100\.0%.*has ended'
tmux -L dmi kill-server

# --- pause, resume, cancel, recalculate ---

ctl 0 speed v --max 2048
ctl 0 restart v
wait_mark v 1 20
json 0 pause v
in_json .device.state frozen
at=$(pass_mark v)
ctl 7 watch v
expect_match "$OUT" "is paused"
sleep 0.5
expect_eq "$(pass_mark v)" "$at" "position of a paused pass"
ctl 0 resume v
wait_mark v $((at + 1)) 20
# A watch ends with what comes, and waits for a device that is suspended.
integrityctl watch v --json > "$TMPDIR/log" &
watcher=$!
dmsetup suspend v
ctl 0 status v
expect_match "$OUT" "state +suspended"
sleep 1
kill -0 $watcher || fail "watch does not wait for a suspended device"
dmsetup resume v
ctl 0 cancel v
code=0
wait $watcher || code=$?
expect_eq "$code" 7 "watch of a pass that was given up"
cat "$TMPDIR/log" >> "$TMPDIR/all.json"
json 0 status v
in_json '.device | .recalculation, .state' "$(printf 'none\nidle')"
ctl 0 cancel v
expect_match "$OUT" "nothing is going on"
ctl 0 pause v
ctl 0 resume v
is_action v idle || fail "pause without a pass: $(dm_status v)"
json 0 speed v --min 1000 --max 0
in_json '.set | .min_kib, .max_kib' "$(printf '1000\n0')"
ctl 0 speed v
expect_match "$OUT" "[0-9]+ KiB/s"
ctl 0 recalculate v --wait
json 0 recalculate v
in_json .device.recalculation complete
ctl 0 recalculate v
expect_match "$OUT" "complete"

# --- what the kernel refuses, in its own words ---

dmsetup suspend v
ctl 8 restart v
expect_match "$OUT" "refused 'reset_recalculate': Device or resource busy: the device is suspended"
json 8 restart v
in_json .error.kernel "the device is suspended, resume it first"
dmsetup resume v

# --- mismatches and checks ---

fill /dev/mapper/v 1
disk_flip /dev/ram0 800
! dd if=/dev/mapper/v of=/dev/null bs=4096 skip=100 count=1 iflag=direct status=none 2> /dev/null ||
	fail "a damaged block was read"
json 0 status v
in_json .device.mismatches 1
metrics=$(INTEGRITYCTL=$(command -v integrityctl) "$DMI_TOP/packaging/dm-integrity-exporter")
echo "$metrics" > "$TMPDIR/prom"
/usr/bin/python3 "$DMI_TOP/tests/tools/exposition.py" "$TMPDIR/prom"
expect_match "$metrics" 'dm_integrity_mismatches_total\{device="v"\} 1'
ctl 0 reset-mismatches v
expect_eq "$(dm_field v 1)" 0 "mismatches after the reset"

msg v check 0 8
wait_for "is_action v idle" 20
json 5 check v --wait
in_json '.device.pass | .bad_blocks, .first_bad_sector' "$(printf '1\n800')"
ctl 5 bad-blocks v
expect_eq "$OUT" "800 8" "bad blocks"
json 5 bad-blocks v
in_json '.ranges[0] | .start_sector, .sectors' "$(printf '800\n8')"
ctl 0 check v --start 808 --wait
ctl 5 check v --start 400K --length 4k --wait
# What it found is what watch tells, but is no result of a command that has nothing to do.
ctl 5 watch v
expect_match "$OUT" "nothing to do, the last pass has ended"
ctl 0 recalculate v --wait
expect_match "$OUT" "- nothing to do"
# As the service does: told to end, it pauses the check, and the next one goes on. It finds the device also
# when that has another name by then.
ctl 0 speed v --max 4096
integrityctl check v --wait --pause-on-signal > "$TMPDIR/log" &
watcher=$!
wait_for "is_action v check" 10
sleep 1
dmsetup rename v w
kill -TERM $watcher
code=0
wait $watcher || code=$?
expect_eq "$code" 7 "check that was told to end"
dmsetup rename w v
expect_action v frozen
at=$(dm_field v 5)
ctl 0 speed v --max 0
ctl 0 resume v
say "paused at $at"
ctl 5 watch v
ctl 0 speed v --max 4096
ctl 0 check v
ctl 0 cancel v
ctl 7 watch v
# A recalculation that was paused before the check is so behind it.
ctl 0 speed v --max 8192
ctl 0 restart v
wait_mark v 32768 20
ctl 0 pause v
ctl 0 speed v --max 1024
ctl 0 check v
expect_action v check
ctl 0 cancel v
expect_action v frozen
ctl 0 status v
expect_match "$OUT" "recalculation +pending"
dm_remove v

# --- a pass that finds what it cannot read; a key ---

dmsetup create data << END
0 8000 linear /dev/ram0 0
8000 16 error
8016 $((P - 8016)) linear /dev/ram0 8016
END
zero /dev/ram1 4096
KEYED=$(table /dev/mapper/data 0 32 D internal_hash:hmac\(sha256\):$KEY "${BASE[@]}" legacy_recalculate)
format_volume "$KEYED"
dm_create k $P "$KEYED"
ctl 5 recalculate k --wait
expect_match "$OUT" "2 bad, the first at sector 8000"
ctl 0 list
expect_match "$OUT" "k +D +hmac\(sha256\)"
ctl 0 status k
expect_match "$OUT" "hmac\(sha256\) with a key"
expect_match "$OUT" "bad blocks +2, the first at sector 8000"
json 0 status k
in_json '.device | .keyed, .hash, .pass.bad_blocks' "$(printf 'true\nhmac(sha256)\n2')"
dm_remove k data

# --- the completion ---

zero /dev/ram0
dm_create v 8 "$(table /dev/ram0 0 4 D internal_hash:crc32c block_size:4096)"
# shellcheck disable=SC2016
complete_words() {
	bash -c '. "$DMI_TOP/tools/integrityctl.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _integrityctl; echo "${COMPREPLY[*]}"' _ "$@"
}
expect_eq "$(complete_words integrityctl re)" "recalculate restart resume reset-mismatches"
expect_eq "$(complete_words integrityctl status "")" "v"
expect_eq "$(complete_words integrityctl status v "")" ""
expect_eq "$(complete_words integrityctl check v --st)" "--start"
expect_eq "$(complete_words integrityctl pause --w)" ""
# A name is not to be run as a program.
# shellcheck disable=SC2016
dmsetup rename --manglename hex v 'v $(echo 1)'
# shellcheck disable=SC2016
expect_eq "$(complete_words integrityctl status v)" 'v\ \$\(echo\ 1\)'
# shellcheck disable=SC2016
dm_remove 'v $(echo 1)'

# --- the target of the kernel: as far as it goes ---

load_intree
zero /dev/ram1 4096
format_volume "$(table /dev/ram0 0 - J internal_hash:sha256 "${BASE[@]}")"
dm_create i $P "$(table /dev/ram0 0 - J internal_hash:sha256 recalculate "${BASE[@]}")"
ctl 0 list
expect_match "$OUT" "i +J +sha256"
ctl 0 watch i --interval 0.2
say "$OUT"
expect_match "$OUT" "^i: (recalculate|idle)"
expect_match "$(tail -n 1 <<< "$OUT")" "^i: idle  100.0%.*has ended"
ctl 0 status i
expect_match "$OUT" "not told +rate"
json 0 status i
in_json '.device | .has_control, .state, .recalculation, .pass.rate_kib' "$(printf 'false\nidle\ncomplete\nnull')"
for command in recalculate restart pause resume cancel check bad-blocks speed reset-mismatches; do
	ctl 4 $command i
	expect_match "$OUT" "takes no messages, so it has no '$command'"
	json 4 $command i
done
dm_remove i

/usr/bin/python3 "$DMI_TOP/tests/tools/schema.py" "$TMPDIR/all.json"
