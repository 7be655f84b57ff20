//! The JWT grant without the feature `jwt`.

use crate::world::{APP, World, assert_refused};

#[test]
fn the_jwt_grant_is_refused_without_the_feature() {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "e30.e30.e30"),
    ];
    let outcome = World::new().log_in(APP, &form);
    let description = "The grant type is not supported";
    assert_refused(outcome, "unsupported_grant_type", description);
}
