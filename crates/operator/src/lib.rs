//! Watches, compiles, publishes, writes status, injects: what Sekisho does in a cluster.
