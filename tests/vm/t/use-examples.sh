# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The examples of Documentation/use.rst print what is printed there. Lines of a console block that
# begin with '# ' are run, the others are what they print, where '...' stands for anything.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 1
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"

load_ours
ramdisk 256 2
modprobe ext4
ln -s /dev/ram0 /dev/sdb1
ln -s /dev/ram1 /dev/sdc1
mkfs.ext4 -q -b 4096 /dev/sdb1
mkdir -p /srv
export PATH=$DMI_TOP/build/tools:$PATH
/usr/bin/python3 - "$DMI_TOP/Documentation/use.rst" << 'END'
import re
import subprocess
import sys
import time

blocks, lines = [], None
for line in open(sys.argv[1]):
    if line.startswith(".. code-block:: console"):
        lines = []
        blocks.append(lines)
    elif lines is not None:
        if line.strip() and not line.startswith("   "):
            lines = None
        else:
            lines.append(line[3:].rstrip())

ran = 0
for block in blocks:
    commands = []
    for line in block:
        if line.startswith("# "):
            commands.append((line[2:], []))
        elif commands and commands[-1][0].endswith("\\"):
            commands[-1] = (commands[-1][0] + "\n" + line, [])
        elif line or commands and commands[-1][1]:
            commands[-1][1].append(line)
    for command, want in commands:
        done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(f"# {command}\n{done.stdout}", end="")
        want = "\n".join(want).strip()
        # Columns may be of another width.
        regex = re.sub(r"(\\ )+", r" +", re.escape(want).replace(r"\.\.\.", ".*"))
        if not re.fullmatch(regex, done.stdout.strip(), re.S):
            sys.exit(f"FAILED: '{command}' does not print\n{want}")
        ran += 1
print(f"{ran} commands in {len(blocks)} examples")
if ran < 10:
    sys.exit("FAILED: the examples were not found")
END
mountpoint -q /srv && umount /srv
rm /dev/sdb1 /dev/sdc1
