//! Values written as text: durations, sizes, networks, addresses and names, each with the schema that checks it.

mod byte_size;
mod cidr;
mod duration;
pub(crate) mod forms;
mod host_port;
mod service_address;
mod text;

pub use byte_size::ByteSize;
pub use cidr::Cidr;
pub use duration::Duration;
pub use forms::form_of;
pub use host_port::{Host, HostPort};
pub use service_address::ServiceAddress;
pub use text::{
    AccountGlob, AccountName, AliasAddress, CountryCode, DomainName, Name, ReverseSuffix,
};

/// Implements the schema of a type that is written as a string: its JSON Schema keywords and, in order, its CEL rules.
macro_rules! string_schema {
    ($type:ident, { $($keyword:tt)* }, [ $(($rule:expr, $message:expr)),* $(,)? ]) => {
        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                #[allow(unused_mut)]
                let mut schema = schemars::json_schema!({ "type": "string", $($keyword)* });
                let rules: Vec<serde_json::Value> =
                    vec![$(serde_json::json!({ "rule": $rule, "message": $message })),*];
                if !rules.is_empty() {
                    schema.insert("x-kubernetes-validations".to_owned(), rules.into());
                }
                schema
            }
        }
    };
}
pub(crate) use string_schema;
