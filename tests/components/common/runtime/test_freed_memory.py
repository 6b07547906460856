import subprocess
import sys

# A freed block of 36 MB lets glibc keep later ones of 24 MB for the threads that freed them; many threads, many blocks.
CODE = """
import sys, threading
from components.common.runtime.resources import return_large_blocks
if sys.argv[1] == "returned":
    return_large_blocks()
del (first := bytearray(b"x") * (31 << 20))[:]
del first
barrier = threading.Barrier(6)
def work():
    block = bytearray(b"x") * (24 << 20)
    barrier.wait()
    del block
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(5)]
for one in threads:
    one.start()
barrier.wait()
barrier.wait()
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) // 1000)
for one in threads:
    one.join()
"""


def held(how):
    done = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_blocks_of_many_threads_are_no_longer_held():
    assert held("returned") < 50 < held("kept")
