//! Replies of servers that were told a secret: whatever repeats a piece of it is for nobody's log.

use sekisho_smtp::Reply;
use sekisho_smtp::sasl::encode_base64;

/// Shorter pieces of an exchange give nothing away, and are in words by chance.
const SHORTEST_PIECE: usize = 16;

/// The reply, without words that repeat `password` or, in base64, `message`, which carried it.
pub(super) fn without_password(reply: Reply, password: &[u8], message: &[u8]) -> Reply {
    let encoded = [encode_base64(password), encode_base64(message)];
    let secrets = encoded.iter().map(|secret| secret.expose());
    without(reply, secrets.chain([password]))
}

/// The reply, without words that repeat a piece of what the client said in an exchange.
pub(super) fn without_response(reply: Reply, response: &[u8]) -> Reply {
    let encoded = encode_base64(response);
    let pieces = response.split(|octet| matches!(octet, b',' | b' '));
    let pieces = pieces.filter(|piece| piece.len() >= SHORTEST_PIECE);
    without(reply, pieces.chain([encoded.expose(), response]))
}

fn without<'a>(reply: Reply, mut secrets: impl Iterator<Item = &'a [u8]>) -> Reply {
    let said = reply.to_string();
    let repeats = |secret: &[u8]| {
        !secret.is_empty() && memchr::memmem::find(said.as_bytes(), secret).is_some()
    };
    if secrets.any(repeats) {
        Reply::plain(reply.code(), "(its words repeat what is secret)")
    } else {
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_repeat_a_secret_are_left_out() {
        let password = |text: &'static str| {
            let reply = Reply::plain(454, text);
            without_password(reply, b"himitsu", b"\0taro\0himitsu").to_string()
        };
        assert_eq!(password("4.7.0 Later"), "454 4.7.0 Later");
        for text in ["himitsu?", "you said AHRhcm8AaGltaXRzdQ==", "aGltaXRzdQ=="] {
            assert_eq!(password(text), "454 (its words repeat what is secret)");
        }
        let proof = "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let response =
            |text: String| without_response(Reply::plain(454, text), proof.as_bytes()).to_string();
        assert_eq!(response("no biws".into()), "454 no biws");
        let hidden = "454 (its words repeat what is secret)";
        assert_eq!(response(format!("no: {}", &proof[13..])), hidden);
        let encoded = encode_base64(proof.as_bytes());
        assert_eq!(
            response(String::from_utf8_lossy(encoded.expose()).into()),
            hidden
        );
    }
}
