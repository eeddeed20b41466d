"""What every provisioner does on its server."""
