//! From the message to the wire: stuffs dots and ends with CRLF.CRLF.

/// Encodes one message as it is produced. Whatever it is given, its output holds no bare CR or LF, no NUL, and its
/// only CRLF.CRLF is the last.
#[derive(Debug, Clone, Default)]
pub struct Encoder {}

impl Encoder {
    /// An encoder at the start of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes a chunk and hands each piece to `sink`, in order. Clean runs are handed on as they lie in `chunk`.
    pub fn encode(&mut self, chunk: &[u8], mut sink: impl FnMut(&[u8])) {
        let _ = (chunk, &mut sink);
        unimplemented!()
    }

    /// [`Encoder::encode`] into a vector.
    pub fn encode_into(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.encode(chunk, |piece| out.extend_from_slice(piece));
    }

    /// The octets that end the message: a CRLF if its last line has none, and `.CRLF`.
    pub fn finish(self) -> &'static [u8] {
        unimplemented!()
    }
}
