//! What the subset reads, what it refuses and where.

use sekisho_policy::expr::Field;

use super::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn reads_the_subset_as_cel_does() {
    let jp = || Expr::Compare(Field::SourceCountry, Comparison::Eq, text("JP"));
    let big = || Expr::Compare(Field::MessageSize, Comparison::Gt, Value::Int(1000));
    let on = || Expr::Compare(Field::SourceTls, Comparison::Eq, text("On"));
    for (source, expr) in [
        ("source.country == 'JP'", jp()),
        ("\"JP\" == source.country", jp()),
        ("1000 < message.size", big()),
        ("0x3e8 < message.size", big()),
        ("true", Expr::Constant(true)),
        (
            "source.country == 'JP' || message.size > 1000 && source.tls == 'On'",
            Expr::Any(vec![jp(), Expr::All(vec![big(), on()])]),
        ),
        (
            "(source.country == 'JP' || message.size > 1000) && source.tls == 'On'",
            Expr::All(vec![Expr::Any(vec![jp(), big()]), on()]),
        ),
        ("!(source.country == 'JP')", Expr::Not(Box::new(jp()))),
        (
            "!account.name.endsWith('@Example.JP')",
            Expr::Not(Box::new(Expr::Text(
                Field::AccountName,
                TextTest::EndsWith,
                "@example.jp".to_owned(),
            ))),
        ),
        (
            "source.asn in [2497, -1,]",
            Expr::In(Field::SourceAsn, vec![Value::Int(2497), Value::Int(-1)]),
        ),
        (
            r"source.helo == r'a\n'",
            Expr::Compare(Field::SourceHelo, Comparison::Eq, text("a\\n")),
        ),
        (
            r"source.helo == 'a\u0041\''",
            Expr::Compare(Field::SourceHelo, Comparison::Eq, text("aA'")),
        ),
    ] {
        assert_eq!(parse(source), Ok(expr), "{source}");
        assert!(
            kube_cel::cel::Program::compile(source).is_ok(),
            "{source} is no CEL"
        );
    }
}

#[test]
fn names_what_the_subset_lacks_and_its_column() {
    for (source, column, message) in [
        (
            "account.name.matches('a.*')",
            14,
            "the function matches() is not in the subset",
        ),
        (
            "has(source.country)",
            1,
            "the function has() is not in the subset",
        ),
        (
            "message.size + 1 > 5",
            14,
            "arithmetic with + is not in the subset",
        ),
        (
            "true ? true : false",
            6,
            "the conditional ?: is not in the subset",
        ),
        (
            "(true ? true : false)",
            7,
            "the conditional ?: is not in the subset",
        ),
        ("source.country == null", 19, "null is not in the subset"),
        (
            "[1, 2].exists(x, x > 1)",
            7,
            "a member of something else than account, source or message is not in the subset",
        ),
        ("message.size > 1.5", 16, "1.5 is no number of the subset"),
        ("message.size > 5u", 16, "5u is no number of the subset"),
        (
            "source.helo == b'x'",
            16,
            "byte strings are not in the subset",
        ),
        ("account.nam == 'x'", 1, "account has no field nam"),
        ("acount.name == 'x'", 1, "there is no acount"),
        ("account == 'x'", 1, "account is no condition"),
        ("account.name", 1, "is no condition by itself"),
        (
            "account.name == message.sender",
            14,
            "compares something else than a field with a constant",
        ),
        ("account.name < 'x'", 14, "text has no order here"),
        (
            "source.asn == '2497'",
            15,
            "this field is compared with a number",
        ),
        (
            "source.country == 'jp'",
            19,
            "this field is compared with a country's two capital letters, like \"JP\"",
        ),
        (
            "message.class == 'Spamm'",
            18,
            "this field is never \"Spamm\"",
        ),
        (
            "source.asn.contains('1')",
            12,
            "this field is a number, and the test is for text",
        ),
        ("source.asn in []", 15, "nothing is in an empty list"),
        (
            "source.asn == 1 == true",
            17,
            "a chain of comparisons is not in the subset",
        ),
        ("true true", 6, "`true` has no place here"),
        (
            "true &&",
            8,
            "the expression ends where a condition is missing",
        ),
        ("(true", 6, "`)` is missing here"),
        ("source.helo == 'x", 16, "the text has no end"),
        (
            "source.helo == '''x'''",
            16,
            "texts in three quotes are not in the subset",
        ),
        ("true // why", 6, "comments are not in the subset"),
        ("true ; false", 6, "';' has no meaning here"),
        ("", 1, "the expression ends where a condition is missing"),
    ] {
        let refused = parse(source).unwrap_err();
        assert_eq!(
            (refused.column, refused.message.as_str()),
            (column, message),
            "{source}"
        );
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let many = vec!["true"; MAX_NODES].join("||");
    assert!(parse(&many).unwrap_err().message.contains("is the most"));
    let fits = vec!["true"; MAX_NODES - 1].join("||");
    assert!(parse(&fits).is_ok());
    for deep in ["(".repeat(10_000), "!".repeat(10_000)] {
        assert!(parse(&deep).unwrap_err().message.contains("levels deep"));
    }
}

proptest::proptest! {
    /// Whatever the text, it is read or refused at a column within it; what is read is CEL.
    #[test]
    fn any_text_is_read_or_refused(source in "[a-z.'\"()!&|=<> \\[\\],0-9\\\\]{0,60}|(account\\.name|source\\.asn|'x'|5|==|in|&&|\\|\\||!|\\(|\\)|\\[|\\]|,| ){0,20}") {
        match parse(&source) {
            Ok(_) => proptest::prop_assert!(kube_cel::cel::Program::compile(&source).is_ok()),
            Err(refused) => proptest::prop_assert!((1..=source.chars().count() + 1).contains(&refused.column)),
        }
    }
}
