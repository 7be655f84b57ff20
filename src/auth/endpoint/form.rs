//! The requests to the token endpoint.
//!
//! [`Form`] has the fields of a request, and remembers which of them are secrets. It writes the
//! body and removes those secrets from the texts of the response.

use bytes::Bytes;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::Application;
use crate::redact::quote;
use crate::redact::without_secret;

/// The fields of a request.
pub(in crate::auth) struct Form<'a> {
    /// Names and values, in the order in which they are sent.
    fields: Vec<(&'static str, &'a str)>,
    /// The values that no text may show.
    secrets: Vec<&'a str>,
}

impl<'a> Form<'a> {
    pub(in crate::auth) fn new(grant_type: &'a str, application: &'a Application) -> Self {
        Self {
            fields: vec![("grant_type", grant_type), ("client_id", &application.id)],
            secrets: Vec::new(),
        }
        .with_secret("client_secret", application.secret.text())
    }

    pub(in crate::auth) fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    pub(in crate::auth) fn with_secret(mut self, name: &'static str, value: &'a str) -> Self {
        self.secrets.push(value);
        self.with(name, value)
    }

    /// Returns the body, which is zeroed when its last copy is dropped. The buffer has its full
    /// capacity from the start, because a buffer that grows leaves copies of the secrets behind.
    pub(super) fn body(&self) -> Bytes {
        let room = |(name, value): &(&str, &str)| name.len() + 3 * value.len() + 2;
        let text = String::with_capacity(self.fields.iter().map(room).sum());
        let mut text = form_urlencoded::Serializer::new(text);
        text.extend_pairs(&self.fields);
        Bytes::from_owner(Zeroizing::new(text.finish().into_bytes()))
    }

    /// Returns a server's text in a form that is safe to show. The server may echo the secrets, in
    /// plain text or in the form's encoding: both are removed.
    pub(super) fn shown(&self, text: &str) -> String {
        let scrub = |text: Zeroizing<String>, secret: &&str| {
            let mut encoded = Zeroizing::new(String::with_capacity(3 * secret.len()));
            encoded.extend(form_urlencoded::byte_serialize(secret.as_bytes()));
            let text = Zeroizing::new(without_secret(&text, &encoded, "[secret]"));
            Zeroizing::new(without_secret(&text, secret, "[secret]"))
        };
        let text = Zeroizing::new(text.to_owned());
        quote(&self.secrets.iter().fold(text, scrub))
    }
}
