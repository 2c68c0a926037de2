//! A snapshot made ready to judge: bounded patterns, indexes, shared names. Immutable, `Send + Sync`.

use std::sync::Arc;

use crate::content::ContentNeeds;
use crate::decision::Class;
use crate::error::LoadError;
use crate::event::Event;
use crate::needs::Needs;
use crate::route::Route;
use crate::snapshot::{BareNewlines, Brake, Envelope, Gateway, ObjectRef, Pool};

/// One gateway's rules, in force.
#[derive(Debug)]
pub struct Ruleset {
    generation: u64,
    digest: Arc<str>,
    gateway: Gateway,
    gateway_ref: Arc<ObjectRef>,
}

/// What a message must keep to, as far as the session has to know it ahead of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageLimits {
    /// Largest message in octets (RFC 1870).
    pub max_size: Option<u64>,
    /// Most recipients of one message (RFC 9422 RCPTMAX).
    pub max_recipients: Option<u32>,
    /// What happens to a bare CR or LF.
    pub bare_newlines: BareNewlines,
}

impl Ruleset {
    /// Makes a snapshot ready, or says what in which object cannot be put in force. It does not look at the digest;
    /// [`Envelope::read`] does.
    ///
    /// # Errors
    /// [`LoadError`] names the object and the field.
    pub fn load(_envelope: &Envelope) -> Result<Self, LoadError> {
        todo!()
    }

    /// The snapshot's generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The snapshot's digest.
    #[must_use]
    pub const fn digest(&self) -> &Arc<str> {
        &self.digest
    }

    /// The checkpoint.
    #[must_use]
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The checkpoint's object, shared.
    #[must_use]
    pub const fn gateway_ref(&self) -> &Arc<ObjectRef> {
        &self.gateway_ref
    }

    /// The rules' objects in evaluation order.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<ObjectRef>> {
        std::iter::empty()
    }

    /// The pools by name.
    pub fn pools(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Pool>)> {
        std::iter::empty()
    }

    /// Whether the brake watches the rule from this object; `None` if there is none.
    #[must_use]
    pub fn brake(&self, _object: &ObjectRef) -> Option<Brake> {
        todo!()
    }

    /// The costly facts that the rules need for `event` and that it lacks.
    #[must_use]
    pub fn needs(&self, _event: &Event) -> Needs {
        todo!()
    }

    /// What of the message's content the rules look at, asked from MAIL on (a `when` may depend on the transaction).
    #[must_use]
    pub fn content(&self, _event: &Event) -> ContentNeeds {
        todo!()
    }

    /// What the session has to know of the policy that is enforced on `event`: at EHLO for the SIZE that is announced, at DATA
    /// for framing. Nothing where no policy applies yet, as one for named accounts before the login.
    #[must_use]
    pub fn message_limits(&self, _event: &Event) -> MessageLimits {
        todo!()
    }

    /// Where a message of `class` goes: as the policy that is enforced on `event` says, else the gateway's next hop.
    #[must_use]
    pub fn route(&self, _event: &Event, _class: Class) -> Route<'_> {
        todo!()
    }
}
