//! The `sekisho-proxy` binary: the data plane of one gateway, configured by the control plane.

fn main() {}
