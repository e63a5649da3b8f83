"""What TARGET and SAMPLE name: models, attributes, inputs."""
