"""The viewer: a server on this machine that shows collections, and never writes into one."""
