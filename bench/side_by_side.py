"""Timing of several programs in one process, in turn: medians of rounds, with quiet in between."""

import fcntl
import os
import statistics
import time

LONGEST_WAIT = 0.5  # seconds for threads to fall asleep
STEP = 0.01
IDLE = 0.1  # share of a core that counts as quiet

# A slice during which other processes used more than this of a core's time is measured again.
FOREIGN = 0.1
TRIES = 4
LOOK = 0.2  # seconds
PATIENCE = 900  # seconds that a whole run waits for other processes
TRY_AGAIN = 3

waited = 0
disturbed = 0  # slices that were never measured in quiet


class MachineLock:
    """An exclusive lock of a file while things are timed; of None: no lock. `with lock:` takes it and
    keeps it over the next such blocks for a while, as others may hold it long."""

    KEEP, LEAVE = 40, 0.2  # seconds

    def __init__(self, path):
        self.file = open(path, "a") if path else None
        self.since = None

    def __enter__(self):
        self.take()

    def take(self):
        if self.file and self.since is None:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            self.since = time.perf_counter()

    def __exit__(self, *_):
        if self.since is not None and time.perf_counter() - self.since > self.KEEP:
            self.release()
            time.sleep(self.LEAVE)

    def release(self):
        if self.since is not None:
            fcntl.flock(self.file, fcntl.LOCK_UN)
            self.since = None


def settle():
    """Waits until this process's threads stop spinning: those of OpenMP and of ONNX Runtime look for
    more work for some milliseconds after the last, and would take the next program's cores."""
    end = time.perf_counter() + LONGEST_WAIT
    while time.perf_counter() < end:
        used = time.process_time()
        time.sleep(STEP)
        if time.process_time() - used < IDLE * STEP:
            return


def timed(work, times):
    """Seconds of one call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def busy_seconds():
    """Time that all cores were busy with any process; None where the system does not say."""
    try:
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Usage:
    """Processor time since a moment."""

    def __init__(self):
        self.busy, self.own, self.start = busy_seconds(), time.process_time(), time.perf_counter()

    def others(self):
        """Cores that other processes used since then."""
        if self.busy is None:
            return 0
        # The system counts in hundredths of a second.
        used = busy_seconds() - self.busy - (time.process_time() - self.own) - 0.02
        return used / (time.perf_counter() - self.start)


def wait_for_quiet(lock):
    """With the lock held: gives it back while other processes use the cores."""
    global waited
    while True:
        settle()
        usage = Usage()
        time.sleep(LOOK)
        if usage.others() < FOREIGN or waited > PATIENCE:
            return
        lock.release()
        time.sleep(TRY_AGAIN)
        waited += TRY_AGAIN
        lock.take()


def quietly(work, lock, times=1):
    """`timed` with the cores to itself: of a few tries the one that other processes disturbed least."""
    global disturbed
    best = None
    with lock:
        for _ in range(TRIES):
            wait_for_quiet(lock)
            usage = Usage()
            seconds = timed(work, times)
            others = usage.others()
            if best is None or others < best[0]:
                best = (others, seconds)
            if others < FOREIGN:
                return seconds
    disturbed += 1
    return best[1]


def measure(works, lock, seconds=0.5, rounds=5):
    """Median seconds of one call of each function of the dictionary `works`. Each round calls one
    after the other for about `seconds`/`rounds`, but at least once."""
    slices = {name: [] for name in works}
    times = {}
    with lock:
        for name, work in works.items():
            work()
            once = timed(work, 1)
            times[name] = max(1, int(seconds / rounds / once))
            settle()
    for _ in range(rounds):
        for name, work in works.items():
            if times[name] > 1:
                work()
            slices[name].append(quietly(work, lock, times[name]))
    return {name: statistics.median(values) for name, values in slices.items()}
