//! Our kinds as the API server addresses them.

use kube::core::ApiResource;
use sekisho_crd::{
    AbuseRule, CountryRule, EgressPool, Kind, LoginGuard, MailGateway, NotificationChannel,
    RateLimit, SubmissionPolicy,
};

/// Group, version and plural of a kind.
pub(crate) fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::MailGateway => ApiResource::erase::<MailGateway>(&()),
        Kind::SubmissionPolicy => ApiResource::erase::<SubmissionPolicy>(&()),
        Kind::CountryRule => ApiResource::erase::<CountryRule>(&()),
        Kind::RateLimit => ApiResource::erase::<RateLimit>(&()),
        Kind::LoginGuard => ApiResource::erase::<LoginGuard>(&()),
        Kind::EgressPool => ApiResource::erase::<EgressPool>(&()),
        Kind::AbuseRule => ApiResource::erase::<AbuseRule>(&()),
        Kind::NotificationChannel => ApiResource::erase::<NotificationChannel>(&()),
    }
}
