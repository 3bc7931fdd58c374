# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode J survives what is done to its device: rounds of suspend, resume, reload, remove and create under
# I/O that goes through journals of one, two and five sections, with and without cipher and MAC, while a
# pass runs. No I/O fails, every block reads as it was written, then every tag is right and nothing is
# left allocated. 200 rounds of each in the long form.
# kernels: debug
# timeout: 900
# append: slub_debug=U

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

rounds=15
[ -z "${DMI_LONG:-}" ] || rounds=200
rounds=${DMI_ROUNDS:-$rounds}
seed=${DMI_SEED:-$(date +%s)}
say "seed $seed"
key=000102030405060708090a0b0c0d0e0f

dmesg -n 5
load_ours
echo 0 > /sys/kernel/rcu_expedited
ramdisk 4 4
# Or the first table waits for them, longer than the crypto API does when all are under load.
modprobe -q -a aes_generic cbc ctr hmac sha256_generic || true
mark

# churn NAME DATA META BLOCKSIZE OPTION...
churn() {
	local name=$1 data=$2 meta=$3 bs=$4
	shift 4
	/usr/bin/python3 "$DMI_TOP/tests/vm/churn.py" "$name" "$rounds" "$seed" "$data" "$meta" "$bs" J "$@" > "$TMPDIR/$name" 2>&1
}

pid=()
churn a /dev/ram0 /dev/ram0 512 internal_hash:crc32c journal_sectors:176 journal_watermark:0 interleave_sectors:1024 fix_padding &
pid+=($!)
churn b /dev/ram1 /dev/ram2 4096 internal_hash:sha256 journal_sectors:528 journal_watermark:100 commit_time:20 \
	"journal_crypt:cbc(aes):$key" "journal_mac:hmac(sha256):$key" fix_hmac &
pid+=($!)
churn c /dev/ram3 /dev/ram3 512 internal_hash:sha256 journal_sectors:440 commit_time:0 "journal_crypt:ctr(aes):$key" &
pid+=($!)
for p in "${pid[@]}"; do
	wait "$p" || fail "$(cat "$TMPDIR/a" "$TMPDIR/b" "$TMPDIR/c")"
done
cat "$TMPDIR/a" "$TMPDIR/b" "$TMPDIR/c"
held=$(still_held)
[ -z "$held" ] || fail "leaked: $held"
expect_no_log 'Checksum failed|cannot resume|failed: |not saved|is lost'

oracle_check /dev/ram0 --hash crc32c --all
oracle_check /dev/ram1 --meta /dev/ram2 --hash sha256 --journal-mac "hmac(sha256):$key" --all
oracle_check /dev/ram3 --hash sha256 --all
