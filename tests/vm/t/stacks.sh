# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What a volume may lie on, and what may lie on it: loop devices and SCSI disks with sectors of 512 and of 4096 bytes, a
# crypt device, slices of one disk with the tags of several volumes, thirty-two volumes at once; LUKS2, btrfs, md raid5
# and raid6. In each mode tags are made, data is written and read, a check finds nothing, and the oracle agrees; md
# mends what a leg's tags show to be wrong.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 1
# mem: 1024
# timeout: 900

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
run("modprobe", "-a", "loop", "sd_mod", "dm-crypt", "raid456", "btrfs", "aes_generic", "xts", "crc32c_generic")
OPTIONS = "internal_hash:crc32c journal_sectors:800 interleave_sectors:2048 fix_padding"
tmp = os.environ["TMPDIR"]
done = []


def idle(dev):
    wait_for(f"{dev.name}: the pass ends", lambda: dev.field(3) == "idle", 120)


def checked(dev, what):
    dev.message("check")
    idle(dev)
    expect_eq(dev.field(6), "0", f"{what}: bad blocks")


def written_back(dev):
    """What is damaged on the disk, or checked there, must not be in the journal only."""
    dev.suspend()
    dev.resume()


def use(v, what):
    """A volume over a disk of any contents, used in each mode."""
    v.format()
    for n, mode in enumerate("JDB"):
        with v.open("recalculate" if n == 0 else "", mode=mode) as dev:
            idle(dev)
            write_all(dev.path, n, v.block_size)
            sync(dev.path)
            read_all(dev.path, n, v.block_size)
            checked(dev, f"{what}, mode {mode}")
    for disk in v.disks:
        run("blockdev", "--flushbufs", disk)
    v.check()
    done.append(what)


def use_together(volumes, what):
    """The same with several at once, each in the mode that is its own."""
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(v.open("recalculate", name=f"v{n}")) for n, v in enumerate(volumes)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda n: write_all(devices[n].path, n, 512), range(len(volumes))))
        for n, dev in enumerate(devices):
            idle(dev)
            read_all(dev.path, n, 512)
            checked(dev, f"{what}, volume {n}")
    for v in volumes:
        v.check()
    done.append(what)


# --- disks below ---

for size in (512, 4096):
    with open(f"{tmp}/disk{size}", "wb") as f:
        f.truncate(12 << 20)
    disk = run("losetup", "--find", "--show", "--sector-size", str(size), f"{tmp}/disk{size}").strip()
    use(Volume(disk, f"{OPTIONS} block_size:4096"), f"loop, {size}")
    run("losetup", "--detach", disk)
    os.unlink(f"{tmp}/disk{size}")

    run("modprobe", "scsi_debug", "dev_size_mb=12", f"sector_size={size}", "lbpu=1", "delay=0")
    disk = wait_for("the SCSI disk", lambda: [d for d in pathlib.Path("/dev").glob("sd?")])[0]
    expect_eq(run("blockdev", "--getss", str(disk)).strip(), str(size), "sectors of the SCSI disk")
    use(Volume(str(disk), f"{OPTIONS} block_size:4096 allow_discards"), f"SCSI, {size}")
    wait_for("the SCSI disk goes", lambda: not subprocess.run(["rmmod", "scsi_debug"], check=False).returncode)

ram, ram2 = ramdisks(40, 2)
crypt = Device("crypt").create(12 << 11, f"crypt aes-xts-plain64 {'00112233' * 16} 0 {ram} 0")
clear(crypt.path)
use(Volume(crypt.path, OPTIONS), "dm-crypt below")
crypt.remove()

# --- slices of one disk for the tags of several volumes, in use at once ---

volumes = []
for n in range(4):
    data = Device(f"data{n}").create(8 << 11, f"linear {ram} {n << 14}").path
    meta = Device(f"meta{n}").create(2 << 11, f"linear {ram2} {n << 12}").path
    clear(meta)
    volumes.append(Volume(data, "internal_hash:crc32c journal_sectors:800", meta, mode="JDBJ"[n]).format())
use_together(volumes, "tags of four volumes on one disk")
for n in range(4):
    Device(f"data{n}").remove()
    Device(f"meta{n}").remove()

# --- thirty-two at once ---

volumes = []
for n in range(32):
    disk = Device(f"disk{n}").create(1 << 11, f"linear {ram} {n << 11}").path
    clear(disk)
    volumes.append(Volume(disk, "internal_hash:crc32c journal_sectors:88", mode="JDB"[n % 3]).format())
use_together(volumes, "thirty-two volumes")
for n in range(32):
    Device(f"disk{n}").remove()

# --- above: LUKS2 and btrfs ---

clear(ram)
v = Volume(ram, "internal_hash:crc32c block_size:4096 journal_sectors:800", mode="J").format()
with v.open("recalculate") as dev:
    idle(dev)
    key = f"{tmp}/key"
    pathlib.Path(key).write_bytes(b"0" * 32)
    run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000",
        "--sector-size", "4096", dev.path, key)
    run("cryptsetup", "open", "--key-file", key, dev.path, "luks")
    write_all("/dev/mapper/luks", 5, 4096)
    read_all("/dev/mapper/luks", 5, 4096)
    run("cryptsetup", "close", "luks")
    checked(dev, "below LUKS2")
v.check()
done.append("LUKS2 above")

clear(ram)
v = Volume(ram, "internal_hash:crc32c block_size:4096 journal_sectors:800", mode="J").format()
with v.open("recalculate") as dev:
    idle(dev)
    run("mkfs.btrfs", "--quiet", "--mixed", dev.path)
    os.makedirs(f"{tmp}/mnt", exist_ok=True)
    rng = random.Random(6)
    files = {f"f{n}": rng.randbytes(rng.randrange(1, 200000)) for n in range(60)}
    run("mount", "-t", "btrfs", dev.path, f"{tmp}/mnt")
    for name, data in files.items():
        pathlib.Path(f"{tmp}/mnt/{name}").write_bytes(data)
    run("umount", f"{tmp}/mnt")
    run("btrfs", "check", "--check-data-csum", dev.path)
    run("mount", "-t", "btrfs", dev.path, f"{tmp}/mnt")
    for name, data in files.items():
        if pathlib.Path(f"{tmp}/mnt/{name}").read_bytes() != data:
            fail(f"btrfs: {name} is not what was written")
    run("umount", f"{tmp}/mnt")
    checked(dev, "below btrfs")
v.check()
done.append("btrfs above")

# --- above: md raid5 and raid6, with blocks wrong on as many legs as they can do without ---

sync_action = pathlib.Path("/sys/block/md126/md/sync_action")
for level, spare in ((5, 1), (6, 2)):
    legs = []
    for n in range(4):
        disk = Device(f"disk{n}").create(8 << 11, f"linear {ram} {n << 14}").path
        clear(disk)
        legs.append(Volume(disk, "internal_hash:crc32c block_size:4096 journal_sectors:392", mode="JDBJ"[n]).format())
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(v.open("recalculate", name=f"leg{n}")) for n, v in enumerate(legs)]
        for dev in devices:
            idle(dev)
        run("mdadm", "--create", "/dev/md126", "--run", "--metadata=1.2", "--bitmap=none", f"--level={level}",
            "--raid-devices=4", *(dev.path for dev in devices))
        wait_for("the first resync", lambda: sync_action.read_text().strip() == "idle", 120)
        write_all("/dev/md126", level, 4096)
        sync("/dev/md126")
        for n in range(spare):
            written_back(devices[n])
            # Behind md's own superblock; other stripes on the next leg.
            for sector in range(4096 + 8 * n, 12288, 800):
                disk, at = legs[n].place(sector)
                damaged = bytearray(peek(disk, at, 4096))
                damaged[100] ^= 1
                poke(disk, at, bytes(damaged))
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        read_all("/dev/md126", level, 4096)
        # md does not look at the disk for what it made up for a read and still has in memory.
        pathlib.Path("/sys/block/md126/md/stripe_cache_size").write_text("17")
        sync_action.write_text("repair")
        wait_for("the repair", lambda: sync_action.read_text().strip() == "idle", 240)
        expect_eq([int(devices[n].field(0)) > 0 for n in range(4)], [n < spare for n in range(4)], "legs with mismatches")
        text = pathlib.Path("/proc/mdstat").read_text()
        expect_match(text, r"\[UUUU\]", "all legs stay")
        for n, dev in enumerate(devices):
            written_back(dev)
            checked(dev, f"raid{level}, leg {n} after the repair")
        read_all("/dev/md126", level, 4096)
        run("mdadm", "--stop", "/dev/md126")
    for n, v in enumerate(legs):
        v.check()
        Device(f"disk{n}").remove()
    done.append(f"md raid{level} above")

say(f"{len(done)} stacks: {', '.join(done)}")
END
