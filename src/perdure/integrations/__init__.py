"""Other libraries' interfaces, one file each. Nobody imports one by name: see `perdure.engine.observe`."""
