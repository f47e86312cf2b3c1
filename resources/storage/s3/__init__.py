"""Amazon S3 and whatever speaks its protocol: the backend of ``s3://``."""
