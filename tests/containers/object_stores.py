"""Inside an image without network: a real object store on loopback, and a file that goes there and comes back.

python object_stores.py s3|gs SERVER_PROGRAM
"""

import os
import subprocess
import sys
import time
from pathlib import Path

SERVERS = {
    "s3": ["server", "-dir=/tmp/store", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false",
           "-s3.config=/tmp/users.json", "-s3.port=8333", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=2",
           "-filer.localSocket=/tmp/filer.sock", "-master.volumeSizeLimitMB=64"],
    "gs": ["-host", "127.0.0.1", "-port", "4443", "-scheme", "http", "-backend", "memory"],
}  # fmt: skip
ENVIRONMENT = {
    "s3": {"AWS_ENDPOINT_URL": "http://127.0.0.1:8333", "AWS_ACCESS_KEY_ID": "lesion", "AWS_SECRET_ACCESS_KEY": "flow",
           "AWS_EC2_METADATA_DISABLED": "true"},
    "gs": {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"},
}  # fmt: skip
USERS = """{"identities": [{"name": "t", "actions": ["Admin", "Read", "Write", "List"],
            "credentials": [{"accessKey": "lesion", "secretKey": "flow"}]}]}"""


def make_bucket(scheme):
    from components.common.storage import store as storage

    store = storage._store(f"{scheme}://skin")
    if scheme == "gs":
        store.client.create_bucket("skin", project="test")
    else:
        store._files.call_s3("create_bucket", Bucket="skin")


def main(scheme, program):
    os.environ.update(ENVIRONMENT[scheme])
    Path("/tmp/store").mkdir()
    Path("/tmp/users.json").write_text(USERS)
    from components.common.storage import store as storage

    with Path("/tmp/log").open("wb") as log:
        server = subprocess.Popen([program, *SERVERS[scheme]], stdout=log, stderr=log, cwd="/tmp")
    for _ in range(300):
        try:
            make_bucket(scheme)
            break
        except Exception as error:
            last = error
            assert server.poll() is None, Path("/tmp/log").read_text()[-2000:]
            time.sleep(0.1)
    else:
        raise last
    Path("/tmp/up").mkdir()
    Path("/tmp/up/a.jpg").write_bytes(b"bytes of an image")
    storage.upload(Path("/tmp/up"), f"{scheme}://skin/folder")
    (found,) = storage.list_images(f"{scheme}://skin/folder")
    sys.stdout.write(f"{found.uri} {storage.read_object(found).decode()}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
