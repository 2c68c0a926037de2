//! `when` expressions that are not of the subset.

use sekisho_crd::{Match, RateLimitSpec, SubmissionPolicySpec};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Objects, Spec};
use crate::view::{View, valid};
use crate::when;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<SubmissionPolicySpec>(objects) {
        expression(view, "match", view.spec.matching.as_ref(), out);
    }
    for view in valid::<RateLimitSpec>(objects) {
        expression(view, "match", view.spec.matching.as_ref(), out);
        for (index, each) in view.spec.overrides.iter().enumerate() {
            expression(
                view,
                &format!("overrides[{index}].match"),
                Some(&each.matching),
                out,
            );
        }
    }
}

fn expression<S: Spec>(
    view: View<'_, S>,
    field: &str,
    matching: Option<&Match>,
    out: &mut Vec<Diagnostic>,
) {
    let Some(text) = matching.and_then(|matching| matching.when.as_deref()) else {
        return;
    };
    if let Err(refused) = when::parse(text) {
        let message = format!(
            "at column {} of the expression: {}",
            refused.column, refused.message
        );
        out.push(
            view.error(Code::InvalidExpression, &format!("{field}.when"), message)
                .mend(refused.remedy),
        );
    }
}
