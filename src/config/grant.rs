//! From the members to the grant.

use super::build::{credential, with};
use super::reader::Reader;
use crate::client_credentials::{AssertedGrant, JwtBearer, TokenExchange};

/// The token that is presented decides which grant it is.
pub(super) fn grant(reader: &mut Reader<'_>) -> Option<AssertedGrant> {
    let [subject, actor, assertion] =
        ["grant.subject_token", "grant.actor_token", "grant.assertion"].map(|path| reader.has_credential(path));
    if reader.value("grant").is_none() && !subject && !actor && !assertion {
        return None;
    }
    if reader.value("grant_type").is_some() {
        reader.fault("grant_type does nothing with grant, which has one of its own");
    }
    match (subject, assertion) {
        (true, false) => exchange(reader).map(Into::into),
        (false, true) => {
            for name in ["subject_token_type", "requested_token_type", "actor_token_type"] {
                if reader.value(&format!("grant.{name}")).is_some() {
                    reader.fault(format!(
                        "grant.{name} needs grant.subject_token_file: it is not a member of an assertion"
                    ));
                }
            }
            if actor {
                reader.fault("grant.actor_token needs grant.subject_token_file: it is not a member of an assertion");
            }
            Some(JwtBearer::new(credential(reader, "grant.assertion", true)?).into())
        }
        (true, true) => {
            reader.fault("of grant.subject_token and grant.assertion only one can be given");
            None
        }
        (false, false) => {
            reader.fault("grant.subject_token_file or grant.assertion_file is missing: the token that is presented");
            None
        }
    }
}

fn exchange(reader: &mut Reader<'_>) -> Option<TokenExchange> {
    let subject = credential(reader, "grant.subject_token", true);
    let actor_type = reader.text("grant.actor_token_type");
    let actor = credential(reader, "grant.actor_token", actor_type.is_some());
    if actor.is_some() && actor_type.is_none() {
        reader.fault("grant.actor_token_type is missing (RFC 8693 section 2.1)");
    }
    let exchange =
        with(TokenExchange::new(subject?), reader.text("grant.subject_token_type"), TokenExchange::subject_token_type);
    let exchange = with(exchange, reader.text("grant.requested_token_type"), TokenExchange::requested_token_type);
    Some(with(exchange, actor.zip(actor_type), |exchange, (token, of)| exchange.actor_token(token, of)))
}
