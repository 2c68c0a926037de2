//! The closed sets of label values. A label is one of these enums or the name of an object; never an account,
//! an address or free text, so the number of series is bounded by the configuration.

/// A closed set of label values, dense enough to index an array.
pub trait Label: Copy + Sized + 'static {
    /// Every value, in the order of `index`.
    const ALL: &'static [Self];
    /// The position in [`Label::ALL`].
    fn index(self) -> usize;
    /// The label value as exported.
    fn as_str(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];
            fn index(self) -> usize {
                self as usize
            }
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    )+};
}

labels! {
    /// What a proxy that asked the control plane for its snapshot was answered.
    FleetConfig {
        /// A snapshot that it did not have.
        Sent => "sent",
        /// It has the newest.
        Unchanged => "unchanged",
        /// There is none.
        Missing => "missing",
        /// It is too old to read it.
        Schema => "schema",
        /// The request, its token or its gateway is wrong.
        Refused => "refused",
        /// The control plane cannot say now.
        Unavailable => "unavailable",
    }

    /// What became of a proxy's report.
    FleetAck {
        Noted => "noted",
        Malformed => "malformed",
        /// The token or the gateway is wrong.
        Refused => "refused",
        Unavailable => "unavailable",
    }

    /// What became of records that a proxy sent.
    FleetRecords {
        /// On their way to the ledger.
        Received => "received",
        /// Sent before.
        Repeated => "repeated",
        /// Counted and let go: this control plane keeps none.
        Counted => "counted",
        /// Never came: their numbers were left out.
        Missing => "missing",
        /// A batch that could not be read or was another gateway's; how many records it held is not known.
        BatchRefused => "batch_refused",
    }

    /// How a session was protected when it ended.
    Transport {
        Plain => "plain",
        StartTls => "starttls",
        Implicit => "implicit",
    }

    /// The SMTP command, as far as the session grammar knows it.
    Verb {
        Auth => "AUTH",
        Bdat => "BDAT",
        Data => "DATA",
        Ehlo => "EHLO",
        Expn => "EXPN",
        Helo => "HELO",
        Help => "HELP",
        Mail => "MAIL",
        Noop => "NOOP",
        Quit => "QUIT",
        Rcpt => "RCPT",
        Rset => "RSET",
        StartTls => "STARTTLS",
        Vrfy => "VRFY",
        Xclient => "XCLIENT",
        Unknown => "unknown",
    }

    /// The first digit of the reply, or that there was none.
    ReplyClass {
        Success => "2xx",
        Intermediate => "3xx",
        Transient => "4xx",
        Permanent => "5xx",
        /// The session ended before a reply.
        None => "none",
    }

    /// The SASL mechanism asked for.
    Mechanism {
        Plain => "PLAIN",
        Login => "LOGIN",
        ScramSha256 => "SCRAM-SHA-256",
        ScramSha256Plus => "SCRAM-SHA-256-PLUS",
        CramMd5 => "CRAM-MD5",
        Xoauth2 => "XOAUTH2",
        Oauthbearer => "OAUTHBEARER",
        Unknown => "unknown",
    }

    /// How an AUTH command ended.
    AuthResult {
        Accepted => "accepted",
        BadCredentials => "bad_credentials",
        AccountLocked => "account_locked",
        SourceLocked => "source_locked",
        CountryRefused => "country_refused",
        /// Refused by another rule.
        Refused => "refused",
        /// AUTH in clear text where the listener wants TLS.
        TlsRequired => "tls_required",
        Malformed => "malformed",
        Cancelled => "cancelled",
        /// The backend that checks passwords did not answer.
        Unavailable => "unavailable",
    }

    /// What checks logins over the network, or by keys of its own.
    LoginService {
        Http => "http",
        Oidc => "oidc",
        ServiceAccount => "service_account",
    }

    /// What a login service said.
    LoginAnswer {
        Accepted => "accepted",
        Refused => "refused",
        /// The account or the token is not its own.
        Passed => "passed",
        /// It could not say.
        Unavailable => "unavailable",
    }

    /// The stage of a session at which rules are asked.
    Stage {
        Connect => "connect",
        Auth => "auth",
        Mail => "mail",
        Rcpt => "rcpt",
        Headers => "headers",
        Body => "body",
        Route => "route",
    }

    /// What a rule said.
    Verdict {
        Allow => "allow",
        Delay => "delay",
        Defer => "defer",
        Reject => "reject",
    }

    /// Whether what a rule said was done, or only observed.
    Enforcement {
        Enforce => "enforce",
        Shadow => "shadow",
    }

    /// What classification says of a message.
    Class {
        Unclassified => "unclassified",
        Clean => "clean",
        Suspect => "suspect",
        Spam => "spam",
    }

    /// How a mail transaction ended.
    Outcome {
        /// The next hop took it.
        Delivered => "delivered",
        /// Refused, by us or by the next hop, for now or for good.
        Refused => "refused",
        /// The final dot was sent and the reply was lost.
        Uncertain => "uncertain",
        /// The client went away or gave up before the final dot.
        Aborted => "aborted",
    }

    /// Kinds of abuse that were seen, whether or not a rule enforced anything.
    Detection {
        AccountLocked => "account_locked",
        AttachmentBlocked => "attachment_blocked",
        /// A name in EHLO or HELO that is malformed, ours, or an address without brackets.
        BadHelo => "bad_helo",
        BareNewline => "bare_newline",
        CountryRefused => "country_refused",
        DecoyAccount => "decoy_account",
        EarlyTalker => "early_talker",
        /// What clients may make the proxy keep was used up; one was told 452.
        OutOfMemory => "out_of_memory",
        ProxyHeaderRejected => "proxy_header_rejected",
        RateExceeded => "rate_exceeded",
        RelayAttempt => "relay_attempt",
        /// A restricted account at work: watched, limited, quarantined or suspended.
        RestrictedAccount => "restricted_account",
        SenderMismatch => "sender_mismatch",
        /// A message that came more slowly than `minBytesPerSecond`, or not at all any more.
        SlowClient => "slow_client",
        SmugglingAttempt => "smuggling_attempt",
        SourceLocked => "source_locked",
        SpamVerdict => "spam_verdict",
        StartTlsInjection => "starttls_injection",
        /// A client was made to wait for a reply.
        Tarpitted => "tarpitted",
        /// A bound on connections was reached, of the gateway or of one source.
        TooManyConnections => "too_many_connections",
        TooManyErrors => "too_many_errors",
        TooManyRecipients => "too_many_recipients",
        TooManyVisibleRecipients => "too_many_visible_recipients",
        XclientRejected => "xclient_rejected",
    }

    /// Where counters are kept.
    CounterBackend {
        Memory => "memory",
        Redis => "redis",
    }

    /// Why counters did not answer.
    CounterError {
        Timeout => "timeout",
        Connection => "connection",
        /// It answered something that is not an answer.
        Protocol => "protocol",
        /// The bound on keys in memory was reached.
        Full => "full",
        /// It answered that it will not: out of memory, no rights, a replica.
        Refused => "refused",
        /// It failed again and again, and is not asked until it answers a probe.
        Suspended => "suspended",
        /// Too many operations waited for it already.
        Crowded => "crowded",
    }

    /// What became of a slice of a limit that was charged in shared counters ahead of its use.
    CounterLease {
        Taken => "taken",
        /// Its rest was given back: nobody drew from it for a second, or the limit had to be asked.
        Returned => "returned",
        /// Its rest was too old to be drawn from, and was given back.
        Expired => "expired",
    }

    /// Whether a part of shared counters is asked.
    CounterPart {
        Asked => "asked",
        /// Not asked until it answers a probe.
        Suspended => "suspended",
    }

    /// A step of the conversation with the next hop.
    UpstreamPhase {
        Connect => "connect",
        Greeting => "greeting",
        Tls => "tls",
        Ehlo => "ehlo",
        Auth => "auth",
        /// From MAIL to the reply to the last RCPT.
        Envelope => "mail_rcpt",
        /// From DATA to the reply that asks for the message.
        Data => "data",
        /// From the final dot to its reply.
        Final => "final",
    }

    /// Why a next hop did not serve.
    UpstreamError {
        Resolve => "resolve",
        Connect => "connect",
        Tls => "tls",
        /// Its certificate is not valid for its name, or of none of the trusted authorities.
        Certificate => "certificate",
        /// The token endpoint gave no token to log in with.
        Token => "token",
        Timeout => "timeout",
        Closed => "closed",
        /// 421, or a refusing greeting.
        Unwilling => "unwilling",
        /// Two replies, mixed codes, a line too long.
        Protocol => "protocol",
        /// It would not take the client's identity.
        Identity => "identity",
        /// It would not take the pool's own login.
        Login => "login",
        /// The Secret with the pool's login is not there, or lacks something.
        CredentialsPending => "credentials_pending",
        /// No member of the pool is healthy.
        NoHealthyMember => "no_healthy_member",
        /// Every connection the pool may hold is busy.
        Saturated => "saturated",
    }

    /// How a member of a pool is.
    MemberState {
        /// It may take mail.
        Healthy => "healthy",
        /// It failed, and is left alone for a while.
        Resting => "resting",
        /// Too many of its last connections failed; it takes mail again once a probe was served.
        Ejected => "ejected",
        /// There is nothing to log in to its relay with.
        CredentialsPending => "credentials_pending",
        /// Its weight is 0.
        Unused => "unused",
    }

    /// What was asked of the DNS.
    DnsQuery {
        /// Reverse name of a client.
        Ptr => "ptr",
        /// Addresses of a reverse name, to confirm it.
        Forward => "forward",
        /// MX of a domain.
        Mx => "mx",
        /// Address of a next hop.
        Host => "host",
    }

    /// What the DNS said.
    DnsResult {
        Found => "found",
        Absent => "absent",
        Timeout => "timeout",
        Error => "error",
    }

    /// How a content engine is spoken to.
    Classifier {
        Rspamd => "rspamd",
        Spamd => "spamd",
    }

    /// What came of asking a content engine about a message.
    ClassifierResult {
        Scored => "scored",
        /// It had scored the same message a short while ago, and was not asked again.
        Cached => "cached",
        /// It did not answer in time.
        Timeout => "timeout",
        /// It was asked as many things at once as it may be, and was not asked.
        Busy => "busy",
        /// It said that it failed.
        Refused => "refused",
        /// It closed the connection early.
        Broken => "broken",
        /// Its answer makes no sense, or is far too long.
        BadAnswer => "bad_answer",
        /// No connection could be made.
        Unreachable => "unreachable",
        /// It had failed again and again, and was not asked.
        Suspended => "suspended",
        /// Nobody waited for its answer.
        Abandoned => "abandoned",
    }

    /// What a country database answers.
    CountryData {
        Country => "country",
        Asn => "asn",
    }

    /// How a load of something that can be replaced at run time ended.
    Load {
        Loaded => "loaded",
        /// The last good one is kept.
        Failed => "failed",
    }

    /// How much an account is restricted.
    RestrictionLevel {
        Watch => "watch",
        Limit => "limit",
        Quarantine => "quarantine",
        Suspend => "suspend",
    }

    /// What became of a restriction that this process imposed.
    RestrictionResult {
        /// It holds here from now on.
        Imposed => "imposed",
        /// The control plane's store has it.
        Stored => "stored",
        /// It holds here and nowhere else: too many wait, or the control plane refused it.
        Unshared => "unshared",
        /// It does not hold: there are too many in memory.
        Lost => "lost",
    }

    /// What became of a message for a channel, or of an attempt at it.
    NoticeResult {
        /// The channel took it.
        Told => "told",
        /// It did not, and is tried again.
        Failed => "failed",
        /// It did not for three days.
        GivenUp => "given_up",
        /// Too many wait.
        NoRoom => "no_room",
    }

    /// What became of a ledger record.
    LedgerResult {
        Written => "written",
        Spooled => "spooled",
        Dropped => "dropped",
    }

    /// Where bytes of messages are held.
    BufferPlace {
        Memory => "memory",
        Disk => "disk",
    }

    /// Why a TLS handshake with a client failed.
    HandshakeError {
        Timeout => "timeout",
        Closed => "closed",
        /// No protocol version, cipher suite or signature scheme in common.
        Incompatible => "incompatible",
        /// Bytes that are no TLS.
        Malformed => "malformed",
        /// The client sent an alert, mostly because it does not trust the certificate.
        Alert => "alert",
        Other => "other",
    }
}

/// One closed label, or several together.
pub trait LabelSet: Copy {
    /// How many combinations there are.
    const COUNT: usize;
    /// The position of this combination.
    fn cell(self) -> usize;
    /// Hands the values, in order, to `push`.
    fn values(self, push: &mut dyn FnMut(&'static str));
}

impl<A: Label> LabelSet for A {
    const COUNT: usize = A::ALL.len();
    fn cell(self) -> usize {
        self.index()
    }
    fn values(self, push: &mut dyn FnMut(&'static str)) {
        push(self.as_str());
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const COUNT: usize = A::ALL.len() * B::ALL.len();
    fn cell(self) -> usize {
        self.0.index() * B::ALL.len() + self.1.index()
    }
    fn values(self, push: &mut dyn FnMut(&'static str)) {
        push(self.0.as_str());
        push(self.1.as_str());
    }
}

impl<A: Label, B: Label, C: Label> LabelSet for (A, B, C) {
    const COUNT: usize = A::ALL.len() * B::ALL.len() * C::ALL.len();
    fn cell(self) -> usize {
        (self.0, self.1).cell() * C::ALL.len() + self.2.index()
    }
    fn values(self, push: &mut dyn FnMut(&'static str)) {
        push(self.0.as_str());
        push(self.1.as_str());
        push(self.2.as_str());
    }
}
