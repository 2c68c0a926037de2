//! What reads foreign bytes in `sekisho-proxy`, apart from its binary so that it can be tested and fuzzed.

pub mod packed;
