# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The units, as "make install-tools" leaves them, do under a running systemd what packaging.rst says: a check
# ends, fails where something was found, is paused by a stop and by a shutdown and goes on at the next start,
# is tried again while it cannot begin and fails when that was often enough; a name that is escaped is found;
# the timer makes up for a month that was missed; the exporter writes where the folder is, and into another one
# as the example says. All that within what the units are allowed.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 1
# timeout: 300

# The test is two halves. This one prepares a system of which nothing starts by itself and lets systemd run
# the other one as a service, in namespaces of their own. When that has ended, systemd shuts down.

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

ETC=/etc/systemd/system
UNITS=/usr/lib/systemd/system

if [ $# -eq 0 ]; then
	make -s -C "$DMI_TOP" install-tools PREFIX=/usr
	rm -rf ${ETC:?}/* $UNITS/*.wants
	mkdir -p $UNITS/sockets.target.wants
	ln -s ../systemd-journald.socket ../systemd-journald-dev-log.socket $UNITS/sockets.target.wants
	: > /etc/fstab
	# A unit that no other one refers to is forgotten when it has ended, and how it did.
	cat > $ETC/lab.service <<- END
		[Unit]
		Requires=basic.target systemd-journald.service
		After=systemd-journald.service
		PropagatesReloadTo=dm-integrity-check@v.service dm-integrity-check@late.service
		PropagatesReloadTo=dm-integrity-check@a\\x2bb.service dm-integrity-exporter.service
		SuccessAction=exit
		FailureAction=exit
		FailureActionExitStatus=1
		[Service]
		Type=oneshot
		TimeoutStartSec=infinity
		Environment=DMI_TOP=$DMI_TOP DMI_KO=$DMI_KO TMPDIR=$TMPDIR PATH=$PATH HOME=/root DM_DISABLE_UDEV=1
		ExecStart=/bin/bash -eu -o pipefail $DMI_TOP/tests/vm/t/units.sh inside
		StandardOutput=file:$TMPDIR/out
		StandardError=file:$TMPDIR/out
	END
	load_ours
	ramdisk 32 3

	code=0
	# shellcheck disable=SC2016
	unshare --fork --pid --mount --mount-proc --cgroup bash -eu -c '
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
		exec env -i container=lab SYSTEMD_GENERATOR_PATH= /lib/systemd/systemd --unit=lab.service \
			--show-status=no --log-target=journal' > "$TMPDIR/systemd" 2>&1 || code=$?
	cat "$TMPDIR/systemd" "$TMPDIR/out"
	expect_eq "$code" 0 "status of systemd"
	# What was left running is paused and can go on.
	expect_action v frozen
	[[ $(dm_field v 5) != 0/* ]] || fail "nothing was checked before: $(dm_status v)"
	exit 0
fi

TOTAL=49152
MONTHLY=/var/lib/systemd/timers/stamp-dm-integrity-check@v.timer

# of UNIT PROPERTY
of() { systemctl show -P "$2" "$1"; }
is() { [ "$(of "$1" "$2")" = "$3" ]; }
expect() { expect_eq "$(of "$1" "$2")" "$3" "$2 of $1"; }

# ended UNIT STATE RESULT STATUS: waits until it is over, and how
ended() {
	wait_for "is $1 ActiveState $2" 60
	expect "$1" Result "$3"
	expect "$1" ExecMainStatus "$4"
}

# between_tries UNIT: it waits for the next one; $tried is how the last one ended
between_tries() {
	tried=$(systemctl show -p SubState,ExecMainStatus "$1")
	[[ $tried == *SubState=auto-restart* ]] && tried=$(grep ^ExecMainStatus= <<< "$tried")
}

# said UNIT REGEX: in the journal
said() {
	journalctl --sync
	journalctl -q -o cat -u "$1" | grep -qE -- "$2" || fail "$1 did not say $2: $(journalctl -q -o cat -u "$1")"
}

# dropin UNIT: what is to be different, from standard input
dropin() {
	mkdir -p "$ETC/$1.d"
	cat > "$ETC/$1.d/lab.conf"
	systemctl daemon-reload
}
no_dropin() {
	rm -r "${ETC:?}/$1.d"
	systemctl daemon-reload
}

checked() { dm_field "$1" 5; }
begun() { [[ $(checked v) != 0/* ]]; }

# volume NAME DISK: complete
volume() {
	format_volume "$(table "$2" 0 4 D internal_hash:crc32c)"
	dm_create "$1" $TOTAL "$(table "$2" 0 4 D internal_hash:crc32c recalculate)"
	wait_pass "$1" 60
}

volume v /dev/ram0
volume a+b /dev/ram1
unit=dm-integrity-check@v.service

say "--- a check that finds nothing"
systemctl start $unit
ended $unit inactive success 0
expect_eq "$(checked v)" $TOTAL/$TOTAL "what was checked"
said $unit "^v: check"

say "--- a check that is stopped, and goes on"
msg v speed_max 1000
systemctl start $unit
wait_for begun 20
expect $unit ActiveState active
# It has what it needs, and no more.
pid=$(of $unit MainPID)
expect_match "$(cat "/proc/$pid/status")" 'CapBnd:.0000000400200004.*NoNewPrivs:.1' "what the check may do"
[ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] || fail "the check has the network"
[ "$(readlink "/proc/$pid/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ] || fail "the check has all files"
systemctl stop $unit
expect $unit ActiveState inactive
expect $unit Result success
expect $unit ExecMainStatus 7
expect_action v frozen
before=$(checked v)
systemctl start $unit
wait_for "[ \"\$(checked v)\" != $before ]" 20
after=$(checked v)
[ "${after%/*}" -gt "${before%/*}" ] || fail "it began anew: $before, $after"
msg v speed_max 0
ended $unit inactive success 0
expect_eq "$(checked v)" $TOTAL/$TOTAL "what was checked"

say "--- a check that finds something"
geometry /dev/ram0 v
disk_flip /dev/ram0 "$(data_sector 8000)"
systemctl start $unit
ended $unit failed exit-code 5
expect $unit NRestarts 0
said $unit "1 bad, the first at sector 8000"
systemctl is-failed -q $unit
dd if=/dev/zero of=/dev/mapper/v bs=4096 seek=1000 count=1 oflag=direct status=none
systemctl start $unit
ended $unit inactive success 0

say "--- a check that cannot begin"
late=dm-integrity-check@late.service
systemctl start $late
wait_for "is $late SubState auto-restart" 30
expect $late ExecMainStatus 3
expect $late RestartUSec 6h
expect $late NRestarts 0
systemctl stop $late
dropin $late <<< "[Service]
RestartSec=100ms"
systemctl start $late
wait_for "[ \$(of $late NRestarts) -ge 2 ]" 60
volume late /dev/ram2
wait_for "is $late ActiveState inactive" 60
expect $late ExecMainStatus 0
expect_eq "$(checked late)" $TOTAL/$TOTAL "what was checked"
# While a recalculation runs.
dm_remove late
zero /dev/ram2
format_volume "$(table /dev/ram2 0 4 D internal_hash:crc32c)"
dm_create late $TOTAL "$(table /dev/ram2 0 4 D internal_hash:crc32c recalculate no_recalculate)"
msg late speed_max 100
msg late recalculate
systemctl start $late
wait_for "[ \$(of $late NRestarts) -ge 2 ]" 60
# Between two tries: one that is under way has no exit status yet.
wait_for "between_tries $late" 60
expect_match "$tried" '^ExecMainStatus=8$' "the last try"
expect_action late recalculate
msg late speed_max 0
wait_for "is $late ActiveState inactive" 60
expect $late ExecMainStatus 0
expect_eq "$(checked late)" $TOTAL/$TOTAL "what was checked"
# That was often enough.
dm_remove late
dropin $late <<< "[Unit]
StartLimitBurst=3
[Service]
RestartSec=100ms"
systemctl reset-failed $late
systemctl start $late
wait_for "is $late ActiveState failed" 60
expect $late NRestarts 3
no_dropin $late

say "--- an escaped name"
escaped=$(systemd-escape --template=dm-integrity-check@.service a+b)
expect_eq "$escaped" 'dm-integrity-check@a\x2bb.service' "name of the unit"
systemctl start "$escaped"
ended "$escaped" inactive success 0
expect_eq "$(checked a+b)" $TOTAL/$TOTAL "what was checked"
said "$escaped" '^a\+b: check'

say "--- the timer of the check"
timer=dm-integrity-check@v.timer
systemctl enable --now $timer
[ -L $ETC/timers.target.wants/$timer ] || fail "the timer is not enabled: $(ls $ETC)"
expect_match "$(of $timer NextElapseUSecRealtime)" '^[A-Z][a-z]+ ....-..-0[12] ' "when the next check begins"
began=$(of $unit ExecMainStartTimestampMonotonic)
systemctl stop $timer
# The machine was off at the begin of the month.
touch -d "40 days ago" $MONTHLY
dropin $timer <<< "[Timer]
RandomizedDelaySec=0"
systemctl start $timer
wait_for "! is $unit ExecMainStartTimestampMonotonic $began" 20
ended $unit inactive success 0
systemctl disable --now $timer
[ ! -e $ETC/timers.target.wants/$timer ] || fail "the timer stays enabled"

say "--- the exporter"
exporter=dm-integrity-exporter.service
folder=/var/lib/prometheus/node-exporter
rm -rf $folder
systemctl start $exporter
expect $exporter ConditionResult no
[ ! -e $folder ] || fail "it made $folder"
mkdir -p $folder
systemctl start $exporter
expect $exporter Result success
grep -qx 'dm_integrity_state{device="a+b",state="idle"} 1' $folder/dm-integrity.prom
grep -qx 'dm_integrity_exporter_success 1' $folder/dm-integrity.prom
expect_eq "$(stat -c %a $folder/dm-integrity.prom)" 644 "mode of the file"
# The example in packaging.rst, for another folder.
mkdir -p /srv/metrics
awk '/systemctl edit dm-integrity-exporter.service/ { inside = 1; next } /^\(/ { inside = 0 } inside' \
	"$DMI_TOP/Documentation/packaging.rst" | sed 's/^ *//' | dropin $exporter
rm $folder/dm-integrity.prom
systemctl start $exporter
expect $exporter Result success
[ -e /srv/metrics/dm-integrity.prom ] || fail "nothing is in the other folder"
[ ! -e $folder/dm-integrity.prom ] || fail "it is in the first folder"
no_dropin $exporter
dropin dm-integrity-exporter.timer <<< "[Timer]
OnBootSec=1s
OnUnitActiveSec=1s
AccuracySec=100ms"
systemctl enable --now dm-integrity-exporter.timer
for _ in 1 2; do
	wait_for "[ -e $folder/dm-integrity.prom ]" 20
	rm $folder/dm-integrity.prom
done
systemctl disable --now dm-integrity-exporter.timer

say "--- a shutdown while a check runs"
msg v speed_max 1000
systemctl start $unit
wait_for begun 20
is_action v check || fail "no check runs: $(dm_status v)"
