# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# While passes run, one after the other, programs read, write, flush and check what
# they wrote: no I/O fails, nothing reads back wrong, and when the last pass is over
# the oracle finds every tag right. Both layouts, 512 and 4096 byte blocks, two hashes,
# half of the volumes in mode D and half in J.
# kernels: 6.12
# long-kernels: 6.1 debug kcsan
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

runtime=8 patience=60
[ "$DMI_KERNEL" != kcsan ] || runtime=40 patience=300
RUNTIME=${DMI_RUNTIME:-$runtime}	# seconds of I/O
MIB=6
read -ra modes <<< "${DMI_MODES:-D J}"

load_ours
ramdisk $((MIB + 2)) 16

jobs=$TMPDIR/jobs
cat > "$jobs" <<END
[global]
ioengine=libaio
direct=1
time_based=1
runtime=$RUNTIME
randrepeat=0
norandommap=1
group_reporting=1
END

n=0
names=()
for layout in interleaved separate; do
	for bs in 512 4096; do
		for hash in crc32c sha256; do
			# In the short form half of them.
			case $bs-$hash in
			512-sha256|4096-crc32c) [ -n "${DMI_LONG:-}" ] || continue ;;
			esac
			data=/dev/ram$((n * 2)) meta=/dev/ram$((n * 2 + 1))
			# Each with each layout, each block size and each hash.
			mode=${modes[(n ^ n >> 1 ^ n >> 2) % ${#modes[@]}]}
			opts=("internal_hash:$hash" "block_size:$bs")
			where=("$data")
			if [ $layout = separate ]; then
				opts+=("meta_device:$meta")
				where+=(--meta "$meta")
			else
				opts+=(interleave_sectors:4096 fix_padding)
				meta=$data
			fi
			format_volume "$(table $data 0 - "$mode" "${opts[@]}" journal_sectors:1000)"
			# No tag is right before the pass.
			dm_create v$n "$(sb_now $meta provided)" "$(table $data 0 - "$mode" "${opts[@]}" recalculate)"
			msg v$n frozen
			names+=("v$n")
			checks[n]="${where[*]} --hash $hash"
			what[n]="$mode $layout $bs $hash"
			# Two programs share no block: the one that verifies has the last quarter.
			size=$(($(sectors /dev/mapper/v$n) * 512))
			split=$((size * 3 / 4 / 65536 * 65536))
			cat >> "$jobs" <<-END
				[load$n]
				filename=/dev/mapper/v$n
				size=$split
				rw=randrw
				rwmixread=40
				bsrange=$bs-64k
				bs_unaligned=0
				blockalign=$bs
				iodepth=8
				fsync=50
				[check$n]
				filename=/dev/mapper/v$n
				offset=$split
				size=$(((size - split) / 16384 * 16384))
				norandommap=0
				rw=randwrite
				bs=$((bs * 2))
				iodepth=4
				verify=crc32c
				verify_backlog=64
				verify_fatal=1
			END
			n=$((n + 1))
		done
	done
done

mark
fio --output="$TMPDIR/out" "$jobs" > "$TMPDIR/err" 2>&1 &
fio=$!
sleep 1
passes=0
for name in "${names[@]}"; do
	msg "$name" idle
done
while kill -0 $fio 2> /dev/null; do
	for name in "${names[@]}"; do
		if pass_over "$name"; then
			msg "$name" reset_recalculate
			passes=$((passes + 1))
		fi
	done
	nap 0.05
done
wait $fio || fail "fio: $(cat "$TMPDIR/err"; grep -E 'err=|verify' "$TMPDIR/out" | head -n 20)"
expect_no_log 'Checksum failed|error [-0-9]'

for i in "${!names[@]}"; do
	wait_pass "${names[i]}" $patience
	expect_eq "$(dm_field "${names[i]}" 1)" 0 "mismatches of ${what[i]}"
	expect_eq "$(dm_field "${names[i]}" 7)" 0 "bad blocks of ${what[i]}"
done
dm_remove "${names[@]}"
for i in "${!names[@]}"; do
	read -ra args <<< "${checks[i]}"
	oracle_check "${args[@]}" --all
done
[ $passes -ge ${#names[@]} ] || fail "only $passes passes ended while there was I/O"
say "$passes passes ended under I/O of $RUNTIME s; $(grep -E '(READ|WRITE):' "$TMPDIR/out" | tr -s ' ' | tr '\n' ' ')"
