"""Says what every provisioner does on its server."""
