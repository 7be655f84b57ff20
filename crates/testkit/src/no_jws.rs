//! A replacement for `jws` without the feature `jwt`.
//!
//! It lets the token endpoint compile without cryptography. It refuses the JWT grant. Start from
//! [`open`].

use std::collections::BTreeMap;

use crate::token_api::Refusal;

/// Refuses the grant, because no signature can be verified without the feature `jwt`.
pub(crate) fn open(_token: &str, _keys: &BTreeMap<String, String>) -> Result<Vec<u8>, Refusal> {
    Err(Refusal::UNSUPPORTED_GRANT)
}
