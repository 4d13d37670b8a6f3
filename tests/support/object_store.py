"""An S3 server of its own, on loopback, with one bucket."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "boats"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "not to be seen"}


@dataclass(frozen=True)
class Store:
    """An S3 server with one bucket."""

    address: str
    client: Any

    @property
    def environment(self) -> dict[str, str]:
        """Return what commands need to find it."""
        return {
            "BOATHOUSE_S3_ENDPOINT": self.address,
            "AWS_EC2_METADATA_DISABLED": "true",  # this machine has no role
            **KEYS,
        }

    def objects(self) -> dict[str, bytes]:
        """Return all objects by their names; those that are just being deleted are left out."""
        listed = self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        found = {}
        for name in [each["Key"] for each in listed]:
            with suppress(self.client.exceptions.NoSuchKey):
                found[name] = self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        return found

    def put(self, objects: dict[str, bytes]) -> None:
        """Let the bucket hold these objects and no others."""
        for name in self.objects().keys() - objects.keys():
            self.client.delete_object(Bucket=BUCKET, Key=name)
        for name, content in objects.items():
            self.client.put_object(Bucket=BUCKET, Key=name, Body=content)


@contextmanager
def served() -> Iterator[Store]:
    """Serve an empty store for a `with` block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        client.create_bucket(Bucket=BUCKET)
        yield Store(f"http://127.0.0.1:{port}", client)
    finally:
        server.stop()
