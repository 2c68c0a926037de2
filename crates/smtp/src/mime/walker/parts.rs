//! What a header section opens, and what comes of it at its end.

use std::mem;

use super::{MAX_LEAVES, State, Walker};
use crate::mime::inside::Inner;
use crate::mime::leaf::{Findings, Leaf, Reading, Role};
use crate::mime::part::{Body, Content, Part};
use crate::mime::report::{Attachment, LimitExceeded, MAX_NAME, MAX_STATED, Report, WalkerLimits};
use crate::mime::steps;
use crate::mime::text::Collector;
use crate::mime::transfer::Encoding;

impl Walker {
    pub(super) fn add_parts(&mut self, parts: usize) {
        self.report.parts += parts;
        if self.report.parts > self.limits.parts {
            self.exceed(LimitExceeded::Parts);
        }
    }

    pub(super) fn end_header(&mut self, section: &[u8]) {
        steps::add(section.len());
        let part = Part::read(section, self.enclosing.default_type());
        self.state = State::Body;
        self.mid_line = false;
        let Some((attachment, content_type)) = self.add_attachment(part.attachment) else {
            return self.exceed(LimitExceeded::Names);
        };
        if let Some(unseen) = part.unseen {
            self.report.exceeded.get_or_insert(unseen);
        }
        match part.content {
            Content::Multipart {
                boundaries,
                children,
            } if boundaries.len() <= MAX_STATED => {
                if self.may_enter() {
                    match self.enclosing.enter_multipart(boundaries, children) {
                        Ok(level) => {
                            let role = Role::Preamble { level };
                            self.open_leaf(role, attachment, content_type, &part.body);
                        }
                        Err(limit) => self.exceed(limit),
                    }
                }
            }
            Content::Multipart { .. } => self.exceed(LimitExceeded::Boundary),
            Content::Message if part.body.encodings.iter().any(is_encoded) => {
                self.open_encoded(attachment, content_type, &part.body);
            }
            Content::Message => {
                if self.may_enter() {
                    self.enclosing.enter_message();
                    self.state = State::Header(Vec::new());
                    self.add_parts(1);
                }
            }
            Content::Leaf => self.open_leaf(Role::Body, attachment, content_type, &part.body),
        }
    }

    fn may_enter(&mut self) -> bool {
        let may = self.enclosing.depth() < self.limits.depth;
        if !may {
            self.exceed(LimitExceeded::Depth);
        }
        may
    }

    /// Reports a part that states names. Answers with its place, if it has one, and its type; `None` if a limit was exceeded.
    fn add_attachment(&mut self, attachment: Attachment) -> Option<(Option<usize>, String)> {
        let names = &attachment.names;
        let octets = names.iter().map(String::len).sum();
        if names.len() > MAX_STATED || names.iter().any(|name| name.len() > MAX_NAME) {
            return None;
        }
        self.limits.name_octets = self.limits.name_octets.checked_sub(octets)?;
        let content_type = attachment.content_type.clone();
        if names.is_empty() {
            return Some((None, content_type));
        }
        self.report.attachments.push(attachment);
        Some((Some(self.report.attachments.len() - 1), content_type))
    }

    fn open_leaf(
        &mut self,
        role: Role,
        attachment: Option<usize>,
        content_type: String,
        body: &Body,
    ) {
        let share = self.share(body.encodings.len());
        let readings = body.encodings.iter().map(|encoding| {
            let wanted = self.text.as_ref().zip(body.text.as_ref());
            let text = wanted.map(|(collector, kind)| collector.raw(kind, share));
            Reading::new(*encoding, &body.holders, text, self.limits.shared(share))
        });
        let readings = readings.collect();
        self.add_leaf(role, attachment, content_type, readings);
    }

    /// Opens a message that is encoded, which RFC 2046 5.2.1 forbids and readers decode, or do not.
    fn open_encoded(&mut self, attachment: Option<usize>, content_type: String, body: &Body) {
        if self.encoded == 0 {
            return self.exceed(LimitExceeded::Depth);
        }
        if !self.may_enter() {
            return;
        }
        let mut encodings = vec![Encoding::Identity];
        encodings.extend(body.encodings.iter().copied().filter(is_encoded));
        let share = self.share(encodings.len());
        let limits = self.limits.shared(share);
        let readings = encodings.into_iter();
        let readings =
            readings.map(|encoding| Reading::of_message(encoding, self.within(share), limits));
        let readings = readings.collect();
        self.add_leaf(Role::Body, attachment, content_type, readings);
    }

    /// By what to divide what each of several readings may keep, so that all of those that go on at once keep no more
    /// than twice as much as one may.
    fn share(&self, readings: usize) -> usize {
        readings << self.leaves.len()
    }

    /// A walker for a message within this one, with a share of what is left of the limits.
    fn within(&self, share: usize) -> Self {
        let limits = WalkerLimits {
            depth: self.limits.depth - self.enclosing.depth() - 1,
            parts: self.limits.parts.saturating_sub(self.report.parts),
            ..self.limits.shared(share)
        };
        let room = self.text.as_ref().map(|text| text.room() / share);
        Self {
            encoded: self.encoded - 1,
            text: room.map(Collector::new),
            ..Self::new(limits)
        }
    }

    fn add_leaf(
        &mut self,
        role: Role,
        attachment: Option<usize>,
        content_type: String,
        readings: Vec<Reading>,
    ) {
        if self.leaves.len() == MAX_LEAVES {
            return self.exceed(LimitExceeded::Boundary);
        }
        self.leaves
            .push(Leaf::new(role, attachment, content_type, readings));
    }

    pub(super) fn end_leaf(&mut self, mut leaf: Leaf) {
        let place = leaf.attachment;
        let content_type = mem::take(&mut leaf.content_type);
        let Findings {
            inside,
            texts,
            messages,
            exceeded,
        } = leaf.finish();
        if let Some(limit) = exceeded {
            self.report.exceeded.get_or_insert(limit);
        }
        let inside: Vec<Inner> = inside.into_iter().collect();
        self.charge_inner(&inside);
        let known = place.and_then(|place| self.report.attachments.get_mut(place));
        match known {
            Some(attachment) => attachment.inside = inside,
            None if inside.is_empty() => {}
            None => {
                let mut attachment = Attachment::new(Vec::new(), content_type);
                attachment.inside = inside;
                self.report.attachments.push(attachment);
            }
        }
        if let Some(text) = &mut self.text {
            texts.iter().for_each(|raw| text.add(raw));
        }
        messages
            .into_iter()
            .for_each(|message| self.absorb(message));
    }

    /// What several scanners find may be more than was left; the next then have nothing left.
    fn charge_inner(&mut self, inside: &[Inner]) {
        let octets: usize = inside.iter().map(|inner| inner.name.len()).sum();
        self.limits.inner_names = self.limits.inner_names.saturating_sub(inside.len());
        self.limits.name_octets = self.limits.name_octets.saturating_sub(octets);
    }

    /// Takes over what was found in a message within.
    fn absorb(&mut self, message: Report) {
        for attachment in &message.attachments {
            let octets: usize = attachment.names.iter().map(String::len).sum();
            self.limits.name_octets = self.limits.name_octets.saturating_sub(octets);
            self.charge_inner(&attachment.inside);
        }
        self.report.attachments.extend(message.attachments);
        if let (Some(collector), Some(text)) = (&mut self.text, &message.text) {
            collector.absorb(text);
        }
        if let Some(limit) = message.exceeded {
            self.report.exceeded.get_or_insert(limit);
        }
        self.add_parts(message.parts);
    }
}

fn is_encoded(encoding: &Encoding) -> bool {
    matches!(encoding, Encoding::Base64 | Encoding::QuotedPrintable)
}
