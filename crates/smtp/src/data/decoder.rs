//! From the wire to the message: finds the end, takes the stuffed dots out, mends or refuses what is not CRLF.

/// What becomes of a CR or an LF that stands alone, and of NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BareNewlines {
    /// Each becomes CRLF, and NUL is left out: old senders are honest.
    Normalize,
    /// The message is refused at its end with 550 5.6.0.
    Reject,
}

/// What [`Decoder::decode`] made of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataProgress {
    /// All of the input was taken and the message goes on.
    More,
    /// The message ended.
    End {
        /// Octets of this input that belong to the message and its end. What follows is the next command.
        consumed: usize,
    },
}

/// What was seen in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Octets of the decoded message.
    pub octets: u64,
    /// The longest line in octets, without its CRLF.
    pub longest_line: u64,
    /// CRs and LFs that stood alone.
    pub bare_newlines: u64,
    /// NULs.
    pub nuls: u64,
    /// Whether an octet above 127 was seen.
    pub eight_bit: bool,
}

/// Decodes one message as it arrives.
#[derive(Debug, Clone)]
pub struct Decoder {
    policy: BareNewlines,
    stats: Stats,
}

impl Decoder {
    /// A decoder that stands right after the 354.
    pub fn new(policy: BareNewlines) -> Self {
        Self {
            policy,
            stats: Stats::default(),
        }
    }

    /// Decodes the front of `input` and hands each piece of the message to `sink`, in order. Clean runs are handed on
    /// as they lie in `input`. A message that is refused is followed to its end, and nothing more is handed on.
    pub fn decode(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> DataProgress {
        let _ = (self.policy, input, &mut sink);
        unimplemented!()
    }

    /// [`Decoder::decode`] into a vector.
    pub fn decode_into(&mut self, input: &[u8], out: &mut Vec<u8>) -> DataProgress {
        self.decode(input, |piece| out.extend_from_slice(piece))
    }

    /// What was seen so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The refusal to send at the end, if the policy is `Reject` and the message breaks it.
    pub fn refusal(&self) -> Option<crate::Refusal> {
        unimplemented!()
    }
}
