#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The lab fails a test during which the kernel complains, that hangs, that takes
# the guest down, that exits non-zero or that leaves a device in use; and the
# test that follows in the same queue passes all the same.
# host: yes
# kernels: 6.12
# cpus: 1
# timeout: 400
# allow: dmi-lab-test|sysrq_handle_crash|Kernel panic

tests=$RESULTS/t
mkdir "$tests"

# Each of these must fail.
cat > "$tests/a-warns.sh" <<'END'
# cpus: 1
echo 'WARNING: dmi-lab-test: not a real one' > /dev/kmsg
END
cat > "$tests/b-hangs.sh" <<'END'
# cpus: 1
# timeout: 5
sleep 1000
END
cat > "$tests/c-crashes.sh" <<'END'
# cpus: 1
echo c > /proc/sysrq-trigger
sleep 1000
END
cat > "$tests/d-exits.sh" <<'END'
# cpus: 1
false
END
cat > "$tests/e-leaves.sh" <<'END'
# cpus: 1
. "$DMI_TOP/tests/vm/lib.sh"
ramdisk 16
dm_create held 8 linear /dev/ram0 0
exec 9< /dev/mapper/held
setsid setsid sleep 1000 &
END
# And this one must pass, although it leaves what the agent can take down.
cat > "$tests/f-passes.sh" <<'END'
# cpus: 1
. "$DMI_TOP/tests/vm/lib.sh"
ramdisk 16
dm_create a 32768 linear /dev/ram0 0
dm_create b 32768 linear /dev/mapper/a 0
mkfs.ext4 -q /dev/mapper/b
mkdir "$TMPDIR/mnt"
mount /dev/mapper/b "$TMPDIR/mnt"
dmsetup suspend a
END

status=0
out=$("$DMI_TOP/tests/run" --kernel "$DMI_KERNEL" --tests "$tests" --results "$RESULTS/results" 2>&1) || status=$?
printf '%s\n' "$out"

expect() {
	grep -qE -- "$1" <<< "$out" || { echo "FAILED: the runner did not say: $1"; exit 1; }
}
expect '^FAIL 6.12  a-warns .* - kernel: .*WARNING: dmi-lab-test'
expect '^FAIL 6.12  b-hangs .* - timeout after 5 s'
expect '^FAIL 6.12  c-crashes .* - the guest went down'
expect '^FAIL 6.12  d-exits .* - status 1'
expect '^FAIL 6.12  e-leaves .* - clean-up failed'
expect '^ok   6.12  f-passes '
expect '^1 passed, 5 failed$'
[ "$status" -eq 1 ] || { echo "FAILED: the runner's status is $status"; exit 1; }
grep -q 'WARNING: dmi-lab-test' "$RESULTS/results/6.12/a-warns.log" ||
	{ echo "FAILED: the log does not show the console"; exit 1; }
