"""Reads a .npy file while a program writes to it, by numpy alone: docs/memory_layout.md is all it knows.

Starts live_writer, takes 200 snapshots, and checks that each is one transfer and no mixture of two.

    live_reader.py PROGRAM FOLDER
    200 snapshots, 41 of them different, 0 mixtures     (the second number varies)
"""
import os, subprocess, sys, time
import numpy as np


def control_area(path):
    """The array, and the sequence numbers of its stripes; None as long as there are none."""
    array = np.load(path, mmap_mode="r")
    begin = -(-(array.offset + array.nbytes) // 64) * 64
    if os.path.getsize(path) < begin + 4288:
        return None
    area = np.memmap(path, np.uint8, "r", begin)
    if bytes(area[0:8]) != b"SHARDCT1":
        return None
    stripes = int(area[16:20].view("<u4")[0])
    lines = area[4288 : 4288 + 64 * stripes].view("<u8").reshape(stripes, 8)
    return array, lines[:, 0], lines[:, 2]


def snapshot(array, sequences, torn):
    """A copy of the array that no writer changed meanwhile."""
    while True:
        before = sequences.copy()
        if (before % 2 != 0).any():
            continue  # being written
        if torn.any():
            raise RuntimeError("torn: a writer died half-way")
        copy = np.array(array)
        if (sequences == before).all():
            return copy


def main(program, folder):
    path, stop = os.path.join(folder, "live.npy"), os.path.join(folder, "stop")
    writer = subprocess.Popen([program, path, stop], stdout=subprocess.DEVNULL)
    try:
        while not os.path.exists(path) or (area := control_area(path)) is None:
            if writer.poll() is not None:
                raise RuntimeError("the writer ended")
            time.sleep(0.001)
        seen = []
        for _ in range(200):
            seen.append(snapshot(*area))
            time.sleep(0.001)
    finally:
        open(stop, "w").close()
        writer.wait()
    mixtures = sum(len(np.unique(each)) > 1 for each in seen)
    numbers = len({each[0] for each in seen})
    print(f"{len(seen)} snapshots, {numbers} of them different, {mixtures} mixtures")
    return mixtures != 0 or numbers < 2 or writer.returncode != 0


sys.exit(main(*sys.argv[1:]))
