"""AWS: images in ECR, training on SageMaker, the API on Lambda. `python -m deploy.aws.NAME` runs a command."""
