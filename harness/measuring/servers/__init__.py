"""Says what runs beside a measurement: servers, what stands between them, and what removes them."""
