//! Two letters that are no country, so that nobody ever comes from there.

use sekisho_crd::{
    CountryCode, CountryRuleSpec, FromCountry, MailGatewaySpec, RateLimitSpec, SubmissionPolicySpec,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Objects, Spec};
use crate::view::{View, valid};

/// The officially assigned codes of ISO 3166-1 alpha-2, and XK, which databases use for Kosovo.
const ASSIGNED: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ \
FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU \
RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG \
UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Codes that people write for another.
const SLIPS: [(&str, &str); 6] = [
    ("UK", "GB"),
    ("EN", "GB"),
    ("EL", "GR"),
    ("JA", "JP"),
    ("KO", "KR"),
    ("ZH", "CN"),
];

/// Whether a code is assigned to a country.
pub(super) fn is_assigned(code: &str) -> bool {
    ASSIGNED.split(' ').any(|assigned| assigned == code)
}

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<MailGatewaySpec>(objects) {
        codes(view, "home", &view.spec.home, out);
    }
    for view in valid::<SubmissionPolicySpec>(objects) {
        let matching = view.spec.matching.iter();
        matching.for_each(|matching| codes(view, "match.countries", &matching.countries, out));
    }
    for view in valid::<RateLimitSpec>(objects) {
        let matching = view.spec.matching.iter();
        matching.for_each(|matching| codes(view, "match.countries", &matching.countries, out));
        for (index, each) in view.spec.overrides.iter().enumerate() {
            codes(
                view,
                &format!("overrides[{index}].match.countries"),
                &each.matching.countries,
                out,
            );
        }
    }
    for view in valid::<CountryRuleSpec>(objects) {
        match &view.spec.from {
            FromCountry::Countries(list) => codes(view, "from.countries", list, out),
            FromCountry::NotCountries(list) => codes(view, "from.notCountries", list, out),
            FromCountry::Abroad {} | FromCountry::Unknown {} => {}
        }
    }
}

fn codes<S: Spec>(view: View<'_, S>, list: &str, codes: &[CountryCode], out: &mut Vec<Diagnostic>) {
    for (index, code) in codes
        .iter()
        .enumerate()
        .filter(|(_, code)| !is_assigned(code.as_str()))
    {
        let slip = SLIPS.iter().find(|(wrong, _)| *wrong == code.as_str());
        let remedy = slip.map_or_else(String::new, |(_, right)| format!("did you mean `{right}`?"));
        let message = format!("{code} is assigned to no country");
        out.push(
            view.warning(Code::UnknownCountry, &format!("{list}[{index}]"), message)
                .mend(remedy),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_in_order() {
        let codes: Vec<&str> = ASSIGNED.split(' ').collect();
        assert_eq!(codes.len(), 249 + 1);
        assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 2));
        assert!(is_assigned("JP") && is_assigned("NO") && !is_assigned("UK"));
    }
}
