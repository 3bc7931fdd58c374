# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A pass survives what is done to its device: hundreds of rounds of suspend, resume,
# reload, remove and create, and every message, at random moments of a pass and under
# I/O. No I/O fails, the pass always comes to its end, then every tag is right, and
# no memory is gone. Tables are in modes D and J in turns.
# kernels: debug
# timeout: 420
# append: slub_debug=U

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

case "$DMI_KERNEL" in
debug) rounds=100 ;;
*) rounds=60 ;;
esac
rounds=${DMI_ROUNDS:-$rounds}	# of each of two volumes: 200 in all on debug
modes=${DMI_MODES:-D J}

# The audit records of so many tables would be most of what the console has to print.
dmesg -n 5
load_ours
echo 0 > /sys/kernel/rcu_expedited
ramdisk 10 3
mark

# Once through all code, so that what is allocated for good does not count.
churn() {
	local pid=() p
	/usr/bin/python3 "$DMI_TOP/tests/vm/churn.py" a "$1" "$2" /dev/ram0 /dev/ram0 512 "${modes// /}" \
		internal_hash:sha256 interleave_sectors:2048 fix_padding > "$TMPDIR/a" 2>&1 &
	pid+=($!)
	/usr/bin/python3 "$DMI_TOP/tests/vm/churn.py" b "$1" $(($2 + 1)) /dev/ram1 /dev/ram2 4096 "${modes// /}" \
		internal_hash:crc32c > "$TMPDIR/b" 2>&1 &
	pid+=($!)
	for p in "${pid[@]}"; do
		wait "$p" || fail "$(cat "$TMPDIR/a" "$TMPDIR/b")"
	done
}

seed=${DMI_SEED:-$(date +%s)}
say "seed $seed"
churn 10 "$seed"
before=$(kib_used)
churn "$rounds" $((seed + 2))
cat "$TMPDIR/a" "$TMPDIR/b"
after=$(kib_used)
say "kernel memory: $before KiB before, $after KiB after"
[ $((after - before)) -le 6144 ] || fail "kernel memory has grown by $((after - before)) KiB"
held=$(still_held)
[ -z "$held" ] || fail "leaked: $held"
expect_no_log 'Checksum failed|cannot resume|failed: |not saved'

oracle_check /dev/ram0 --hash sha256 --all
oracle_check /dev/ram1 --meta /dev/ram2 --hash crc32c --all
