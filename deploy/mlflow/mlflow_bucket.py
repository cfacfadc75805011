"""Makes the bucket for MLflow's artifacts if it is not there: `python -m mlflow_bucket [NAME]`."""

from __future__ import annotations

import os
import sys

import boto3
from botocore.exceptions import ClientError


def main(name: str) -> None:
    """Connects by MLFLOW_S3_ENDPOINT_URL and AWS_*; a bucket that is there is left as it is."""
    client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
    try:
        client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "mlflow")
