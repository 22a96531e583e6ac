"""What every scenario stands on: processes, the gateway, and clients that count errors exactly."""
