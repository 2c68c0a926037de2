//! What each kind of rule asks at each stage.

pub(crate) mod abuse;
pub(crate) mod classify;
pub(crate) mod country;
pub(crate) mod failure;
pub(crate) mod known_good;
pub(crate) mod limit;
pub(crate) mod login;
pub(crate) mod penalty;
pub(crate) mod rate;
pub(crate) mod restricted;
pub(crate) mod sender;
pub(crate) mod submission;

use crate::event::Stage;

/// A field that cannot be put in force, and why.
#[derive(Debug)]
pub(crate) struct Defect {
    pub(crate) part: String,
    pub(crate) why: String,
}

impl Defect {
    pub(crate) fn new(part: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            why: why.into(),
        }
    }
}

/// A set of stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stages(u16);

impl Stages {
    pub(crate) const CONNECT: Self = Self(1);
    pub(crate) const LOGIN: Self = Self(2);
    pub(crate) const LOGIN_FAILED: Self = Self(4);
    pub(crate) const LOGIN_SUCCEEDED: Self = Self(8);
    pub(crate) const MAIL: Self = Self(16);
    pub(crate) const RCPT: Self = Self(32);
    pub(crate) const HEADERS: Self = Self(64);
    pub(crate) const END: Self = Self(128);
    pub(crate) const ROUTE: Self = Self(256);
    pub(crate) const LOGIN_SHOWN: Self = Self(512);
    /// How many there are.
    pub(crate) const COUNT: usize = 10;

    pub(crate) const fn of(stage: &Stage) -> Self {
        match stage {
            Stage::Connect => Self::CONNECT,
            Stage::Login { .. } => Self::LOGIN,
            Stage::LoginShown { .. } => Self::LOGIN_SHOWN,
            Stage::LoginFailed { .. } => Self::LOGIN_FAILED,
            Stage::LoginSucceeded => Self::LOGIN_SUCCEEDED,
            Stage::Mail => Self::MAIL,
            Stage::Rcpt { .. } => Self::RCPT,
            Stage::Headers(_) => Self::HEADERS,
            Stage::End(_) => Self::END,
            Stage::Route { .. } => Self::ROUTE,
        }
    }

    /// The stage at a place below [`Self::COUNT`].
    pub(crate) const fn at(index: usize) -> Self {
        Self(1 << index)
    }

    /// The place of a single stage among [`Self::COUNT`].
    pub(crate) const fn index(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    pub(crate) const fn contains(self, stage: Self) -> bool {
        self.0 & stage.0 != 0
    }

    /// Adds `stages` where `asked` holds.
    #[must_use]
    pub(crate) const fn with(self, asked: bool, stages: Self) -> Self {
        if asked { Self(self.0 | stages.0) } else { self }
    }

    #[must_use]
    pub(crate) const fn and(self, stages: Self) -> Self {
        Self(self.0 | stages.0)
    }
}
