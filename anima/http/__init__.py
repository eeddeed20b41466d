"""The service: the memory system over HTTP. How a server process is started is in `server`."""
