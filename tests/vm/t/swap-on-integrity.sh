# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A volume can be swapped on while its tags are being made: a program that needs more memory
# than there is keeps its contents, and nothing hangs. In mode J; in D, too, in the long form.
# long: yes
# kernels: 6.12 debug
# timeout: 420
# own-boot: yes
# mem: 640
# disks: 160M

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

MIB=60		# what the program touches
modes=J
[ -z "${DMI_LONG:-}" ] || modes="D J"
modes=${DMI_MODES:-$modes}

# Half a minute is enough for a task to be hung.
echo 30 > /proc/sys/kernel/hung_task_timeout_secs

load_ours
swapoff -a
echo 1 > /proc/sys/vm/overcommit_memory
group=/sys/fs/cgroup/t
if ! mountpoint -q /sys/fs/cgroup; then
	mount -t cgroup2 none /sys/fs/cgroup
fi
echo +memory > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p $group
# As much as leaves the program a third of what it wants. It is held there by being slowed
# down: with memory.max it is killed when its pages do not get to the disk soon enough, and
# how soon that is depends on what else the host does.
echo $((MIB / 3))M > $group/memory.high
opts=(internal_hash:crc32c block_size:4096 fix_padding interleave_sectors:32768)

swapped() { awk '{ print $4 }' <(tail -n 1 /proc/swaps); }

# under_pressure MODE
under_pressure() {
	local mode=$1 avail program most now passes
	zero /dev/vda
	format_volume "$(table /dev/vda 0 - "$mode" "${opts[@]}")"
	dm_create v "$(sb_now /dev/vda provided)" "$(table /dev/vda 0 - "$mode" "${opts[@]}" recalculate no_recalculate)"
	mkswap /dev/mapper/v > /dev/null
	swapon /dev/mapper/v
	# It lasts, and leaves the CPUs to those who swap.
	msg v speed_max 4000
	msg v speed_min 1000
	msg v idle
	avail=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	say "mode $mode: $avail MiB of memory are available, the program may have $((MIB / 3)) and wants $MIB"
	(
		echo "$BASHPID" > $group/cgroup.procs
		exec /usr/bin/python3 - $MIB <<-'END'
			import mmap, random, struct, sys
			mib = int(sys.argv[1])
			pages = mib * 256
			m = mmap.mmap(-1, pages * 4096)
			def stamp(p, round):
			    return struct.pack("<QQ", p * 0x9E3779B97F4A7C15 % 2**64, round)
			rounds = [0] * pages
			for p in range(pages):
			    m[p * 4096:p * 4096 + 16] = stamp(p, 0)
			    m[p * 4096 + 4080:p * 4096 + 4096] = stamp(p, 0)
			rng = random.Random(1)
			for round in range(1, 3):
			    for p in rng.sample(range(pages), pages // 3):
			        for at in 0, 4080:
			            if m[p * 4096 + at:p * 4096 + at + 16] != stamp(p, rounds[p]):
			                sys.exit(f"FAILED: page {p} has lost its contents in round {round}")
			        rounds[p] = round
			        for at in 0, 4080:
			            m[p * 4096 + at:p * 4096 + at + 16] = stamp(p, round)
			for p in range(pages):
			    if m[p * 4096:p * 4096 + 16] != stamp(p, rounds[p]) or m[p * 4096 + 4080:p * 4096 + 4096] != stamp(p, rounds[p]):
			        sys.exit(f"FAILED: page {p} has lost its contents")
			print(f"{pages} pages are what they were, {sum(map(bool, rounds))} of them changed on the way")
		END
	) &
	program=$!
	most=0 passes=0
	while kill -0 $program 2> /dev/null; do
		now=$(swapped)
		[ "$now" -le "$most" ] || most=$now
		if pass_over v; then
			passes=$((passes + 1))
			msg v reset_recalculate
		fi
		sleep 0.2
	done
	wait $program || fail "the program: status $?; $(tr '\n' ' ' < $group/memory.events)"
	say "up to $((most / 1024)) MiB were swapped out, $(awk '/^pswp/ { printf "%s %s, ", $1, $2 }' /proc/vmstat) $passes passes, $(dm_status v)"
	[ "$most" -gt $((MIB * 1024 / 4)) ] || fail "hardly anything was swapped out: $most KiB"

	# The same for the whole machine: its last free memory goes, then all is taken back, the
	# other way round: what was touched last is still there, and is not in the way of the rest.
	/usr/bin/python3 - $((avail + 48)) <<'END'
import mmap, sys
m = mmap.mmap(-1, int(sys.argv[1]) << 20)
for at in range(0, len(m), 4096):
    m[at:at + 8] = at.to_bytes(8, "little")
for at in reversed(range(0, len(m), 4096)):
    if m[at:at + 8] != at.to_bytes(8, "little"):
        sys.exit(f"FAILED: byte {at} has lost its contents")
print(f"{len(m) >> 20} MiB are what they were")
END
	dm_status v
	swapoff /dev/mapper/v
	expect_eq "$(dm_field v 1)" 0 "mismatches"
	msg v speed_max 0
	msg v idle
	wait_pass v 60
	dm_remove v
	oracle_check /dev/vda --hash crc32c --all
}

for mode in $modes; do
	under_pressure "$mode"
done
