"""Reads a .npy file while a program writes to it, by numpy alone: docs/memory_layout.md is all it knows.

Starts live_writer, takes 200 snapshots, and checks that each is one transfer and no mixture of two.

    live_reader.py PROGRAM [FOLDER]
    200 snapshots, 187 of them different, 0 mixtures     (the second number varies)
"""
import fcntl, os, struct, subprocess, sys, time
import numpy as np

STRIPE = np.dtype([("sequence", "<u8"), ("noted", "<u4", 2), ("torn", "<u4", 2), ("mutex", "<u4", 10)])
WRITERS, READERS = 2**62 + 1, 2**62 + 2  # bytes of the file that handles lock
PATIENCE = 60  # seconds


def lock(file, command, kind, byte):
    return fcntl.fcntl(file, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))


def attach(path):
    """The open file, its array, and the lines of its stripes; None as long as there is no control area."""
    file = open(path, "rb")
    lock(file, fcntl.F_OFD_SETLKW, fcntl.F_RDLCK, READERS)  # from now on nobody cuts the area off
    array = np.load(path, mmap_mode="r")
    begin = -(-(array.offset + array.nbytes) // 64) * 64
    if os.fstat(file.fileno()).st_size < begin + 4288 + 64:
        return None
    area = np.memmap(file, np.uint8, "r", begin)
    magic, size, stripes, shift = struct.unpack("<8sQII", area[:24].tobytes())
    if magic != b"SHARDCT2" or size != array.nbytes:
        return None
    return file, array, area[4288 : 4288 + 64 * stripes].view(STRIPE)


def snapshot(file, array, stripes):
    """A copy of the array that no writer changed meanwhile."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        before = stripes["sequence"].copy()
        written = before % 2 != 0
        torn = stripes["torn"][:, 0] < stripes["torn"][:, 1]
        word, owner = stripes["mutex"][:, 0], stripes["mutex"][:, 2]
        dead = (word & 0x40000000 != 0) | ((owner != 0) & (owner != word & 0x3FFFFFFF))
        if written.any():  # by nobody, if no writer has the file open
            locked = struct.unpack("hhqqi4x", lock(file, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, WRITERS))
            torn |= written & (dead | (locked[0] == fcntl.F_UNLCK))
        copy = np.array(array) if not written.any() and not torn.any() else None
        if (stripes["sequence"] == before).all():  # x86 loads in this order; other machines need a fence
            if torn.any():
                raise RuntimeError(f"torn: a writer died half-way in stripes {np.flatnonzero(torn).tolist()}")
            if copy is not None:
                return copy
        time.sleep(0.0002)
    raise RuntimeError("busy: others were writing all the time")


def main(program, folder="."):
    path, stop = os.path.join(folder, "live.npy"), os.path.join(folder, "stop")
    for left in (path, stop):  # by an earlier run
        if os.path.exists(left):
            os.remove(left)
    writer = subprocess.Popen([program, path, stop], stdout=subprocess.DEVNULL)
    seen, until = [], time.monotonic() + PATIENCE
    try:
        while not os.path.exists(path) or (attached := attach(path)) is None:
            if writer.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the writer writes nothing")
            time.sleep(0.001)
        while len(seen) < 200 or (len({each[0] for each in seen}) < 2 and time.monotonic() < until):
            seen.append(snapshot(*attached))
            time.sleep(0.0005)
    finally:
        open(stop, "w").close()
        writer.wait()
    mixtures = sum(len(np.unique(each)) > 1 for each in seen)
    numbers = len({each[0] for each in seen})
    print(f"{len(seen)} snapshots, {numbers} of them different, {mixtures} mixtures")
    return mixtures != 0 or numbers < 2 or writer.returncode != 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
