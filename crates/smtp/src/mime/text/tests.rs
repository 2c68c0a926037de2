//! What rules see of a body.

use super::super::{Report, Walker, WalkerLimits};

fn walk(message: &[u8], most: usize) -> Report {
    let walk = |size: usize| {
        let mut walker = Walker::new(WalkerLimits::default()).with_text(most);
        message.chunks(size).for_each(|chunk| walker.feed(chunk));
        walker.finish()
    };
    let whole = walk(usize::MAX);
    for size in [1, 3, 50] {
        assert_eq!(walk(size), whole, "in chunks of {size}");
    }
    whole
}

fn text(message: &[u8]) -> String {
    let text = walk(message, 10_000).text.unwrap();
    assert!(!text.is_cut);
    text.body
}

fn html(body: &str) -> String {
    text(format!("Content-Type: text/html; charset=utf-8\r\n\r\n{body}").as_bytes())
}

#[test]
fn transfer_encodings_and_charsets_are_undone() {
    let cases: [(&str, &[u8], &str); 11] = [
        ("X: y", b"plain\r\ntext", "plain\ntext\n"),
        ("Content-Type: text/plain", b"a\rb\0c\n", "a\nbc\n"),
        (
            "Content-Transfer-Encoding: quoted-printable",
            b"caf=C3=A9 so=\r\nft",
            "café soft\n",
        ),
        (
            "Content-Transfer-Encoding: base64",
            b"44GT44KT\r\n44Gr44Gh44Gv",
            "こんにちは\n",
        ),
        (
            "Content-Type: text/plain; charset=iso-2022-jp",
            b"\x1B$B$3$s\x1B(B",
            "こん\n",
        ),
        ("Content-Type: text/plain", b"\x1B$B$3$s\x1B(B", "こん\n"),
        (
            "Content-Type: text/plain; charset=us-ascii",
            b"caf\xC3\xA9",
            "café\n",
        ),
        ("Content-Type: text/plain", b"caf\xE9", "café\n"),
        (
            "Content-Type: text/plain; charset=windows-1251",
            b"\xC0\xC1",
            "АБ\n",
        ),
        ("Content-Type: image/png", b"\x89PNG", ""),
        (
            "Content-Type: multipart/mixed",
            b"no boundary",
            "no boundary\n",
        ),
    ];
    for (header, body, expected) in cases {
        let message = [header.as_bytes(), b"\r\n\r\n", body].concat();
        assert_eq!(text(&message), expected, "{header}");
    }
}

#[test]
fn text_is_that_of_all_parts_in_order() {
    let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\none\r\n--b\r\n\
        Content-Type: text/html\r\n\r\n<p>two</p>\r\n--b\r\nContent-Type: application/pdf\r\n\r\nno\r\n--b\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nthree\r\n--b\r\nContent-Type: application/octet-stream; name=a.HTML\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nPGI+Zm91cjwvYj4=\r\n--b\r\nContent-Type: message/rfc822\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQpmaXZlDQo=\r\n--b--\r\nepilogue";
    assert_eq!(text(message), "one\ntwo\nthree\nfour\nfive\n");
}

#[test]
fn a_preamble_is_text_only_if_no_delimiter_comes() {
    let multipart = |body: &str| {
        text(format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{body}").as_bytes())
    };
    assert_eq!(multipart("all of it\r\n"), "all of it\n");
    assert_eq!(multipart("no\r\n--b\r\n\r\nyes\r\n--b--\r\nno"), "yes\n");
    assert_eq!(multipart("yes\r\n--b--\r\nno"), "yes\n");
    assert_eq!(
        multipart("yes\r\n--bb\r\n\r\nyes"),
        "yes\n--bb\n\nyes\nyes\n"
    );
    // Where the text would not fit in, it is not cut by what nobody shows.
    let long = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}\r\n--b\r\n\r\nyes\r\n--b--\r\n",
        "no ".repeat(100)
    );
    let seen = walk(long.as_bytes(), 10).text.unwrap();
    assert_eq!((seen.body.as_str(), seen.is_cut), ("yes\n", false));
}

#[test]
fn html_is_what_is_on_the_screen_and_where_links_lead() {
    for (body, expected) in [
        ("V<b>i</b>a<!-- x -->gr<i class=\"a>b\">a</i>", "Viagra\n"),
        (
            "one<br>two<p>three  \n four</p>five",
            "one\ntwo\nthree four\nfive\n",
        ),
        (
            "<table><tr><td>a</td><td>b</td></tr><tr><td>c</table>",
            "a b\nc\n",
        ),
        (
            "<style>p{}</style><script>if (a</b) x</script>shown<STYLE>",
            "shown\n",
        ),
        (
            "&lt;b&gt; &#86;&#x69;&#0097;gra&amp;&eacute;&nbsp;&bogus; &#xFFFFFF; &",
            "<b> Viagra&é &bogus; \u{FFFD} &\n",
        ),
        ("Vi&shy;a\u{200B}g&zwnj;r\u{FEFF}a", "Viagra\n"),
        ("1 < 2 <3 a<", "1 < 2 <3 a<\n"),
        (
            "<a href='https://evil.example/?a=1&amp;b'>bank</a> now<img src=x.png>",
            "bank now\nhttps://evil.example/?a=1&b\nx.png\n",
        ),
        (
            "<form action = \"ht\ntps://e.example\" method=post>ok</form>",
            "ok\nhttps://e.example\n",
        ),
        (
            "<a HREF=//e.example/x>y</a><a href>z</a><a href=\"\">",
            "yz\n//e.example/x\n",
        ),
        ("<a href=\"x", "x\nx\n"),
        ("a<!---->b<!-->c<!doctype html>d<?xml?>e</>f", "abcdef\n"),
        ("é<é é=é><p é", "é<é é=é>\n"),
        ("", ""),
    ] {
        assert_eq!(html(body), expected, "{body}");
    }
}

/// What hides text from a naive reader of HTML and not from browsers.
#[test]
fn html_hides_nothing_that_browsers_show() {
    for (body, expected) in [
        ("a<!-- x --!>b<!-- -- > --!y --!>c", "abc\n"),
        ("a<!-- never <b>ends</b>", "a never ends\n"),
        ("a<!-- <!-- --", "a --\n"),
        ("a<!--b--->c", "ac\n"),
        ("a<!doctype", "adoctype\n"),
        ("a</ never", "a never\n"),
        ("<p title=\"V<b>i</b>agra <!-- x --> y", "Viagra y\n"),
        (
            "<a href='//e.example>now</a> a=\"b",
            "//e.example>now a=\"b\n//e.example\n",
        ),
        (
            "<title><!-- </title>shown<xmp><!-- <b> </XMP>too",
            "<!--\nshown\n<!-- <b>\ntoo\n",
        ),
        (
            "<textarea><a title='</textarea>shown",
            "<a title='\nshown\n",
        ),
        (
            "<iframe>1</iframe><noembed>2</noembed ><noframes>3</noframes/>4",
            "1\n2\n3\n4\n",
        ),
        ("<plaintext>a<b>c<xmp>", "a<b>c<xmp>\nac\n"),
        ("<template>shown</template>", "shown\n"),
        (
            "V&ZeroWidthSpace;i&NoBreak;a&InvisibleTimes;g&InvisibleComma;r&zwj;a&NegativeVeryThinSpace;",
            "Viagra\n",
        ),
        ("Vi&shyagra &ampx &notit; &copyx", "Viagra &x ¬it; ©x\n"),
        ("<a href='?a=1&shyb&copy=c'>x</a>", "x\n?a=1&shyb©=c\n"),
        (
            "a&lpar;b&rpar;&puncsp;c&bsol;&bogusbogusbogus;",
            "a(b) c\\&bogusbogusbogus;\n",
        ),
    ] {
        assert_eq!(html(body), expected, "{body}");
    }
}

#[test]
fn text_is_cut_at_its_bound_and_says_so() {
    let cut = |message: &str, most: usize| {
        let text = walk(message.as_bytes(), most).text.unwrap();
        assert!(text.body.len() <= most);
        (text.body, text.is_cut)
    };
    let message = "X: y\r\n\r\nabcdéfgh";
    assert_eq!(cut(message, 5), ("abcd\n".to_owned(), true));
    assert_eq!(cut(message, 6), ("abcdé".to_owned(), true));
    assert_eq!(cut(message, 10), ("abcdéfgh\n".to_owned(), false));
    assert_eq!(cut(message, 0), (String::new(), true));
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\n\r\n12345\r\n".repeat(3)
    );
    assert_eq!(cut(&parts, 10), ("12345\n1234".to_owned(), true));
    assert_eq!(cut(&parts, 18), ("12345\n12345\n12345\n".to_owned(), false));
    // Text that becomes longer by its charset, and markup that becomes links.
    let wide = "Content-Type: text/plain; charset=windows-1252\r\n\r\n".as_bytes();
    let text = walk(&[wide, &[0x80; 50]].concat(), 60).text.unwrap();
    assert_eq!((text.body.len(), text.is_cut), (60, true));
    assert_eq!(
        walk(b"X: y\r\n\r\nabc", 0).text.map(|text| text.is_cut),
        Some(true)
    );
    let without = Walker::new(WalkerLimits::default()).finish();
    assert_eq!(without.text, None);
}
