//! Which costly facts an event still lacks for the rules that apply to it.

/// A fact that costs a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Need {
    /// [`crate::event::Source::reverse_names`], forward-confirmed.
    ReverseNames = 1,
    /// [`crate::event::Stage::Rcpt::domain`].
    RecipientDomain = 2,
    /// [`crate::event::EndFacts::opinions`].
    Opinions = 4,
}

/// A set of [`Need`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Whether nothing has to be looked up.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this fact has to be looked up.
    #[must_use]
    pub const fn contains(self, need: Need) -> bool {
        self.0 & need as u8 != 0
    }

    pub(crate) const fn add(&mut self, need: Need) {
        self.0 |= need as u8;
    }
}
