//! IP addresses and CIDR prefixes: [`IpRanges`], and the error for a text that is neither.
//!
//! An IPv4 address is kept in its IPv4-mapped IPv6 form, so that both families take one path. The
//! ranges with prefixes of one length are a set, so a lookup takes one step for each length.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;
use std::net::IpAddr;

/// The length of the prefix `::ffff:0:0/96`, which contains all IPv4 addresses.
const MAPPED: u32 = 96;

/// The length of the prefix that is a complete address.
const FULL: u32 = 128;

/// Ranges of IP addresses: for each mask, the addresses with that mask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct IpRanges(HashMap<u128, HashSet<u128>>);

/// The error of [`EventFilter::ip_addresses`](super::EventFilter::ip_addresses): a text is neither
/// an IP address nor a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRangeError {
    text: String,
}

impl IpRanges {
    /// Reads addresses such as `192.0.2.7`, and prefixes such as `192.0.2.0/24`.
    pub(super) fn parse<S: AsRef<str>>(
        ranges: impl IntoIterator<Item = S>,
    ) -> Result<Self, IpRangeError> {
        let mut masks = HashMap::<_, HashSet<_>>::new();
        for range in ranges {
            let text = range.as_ref();
            let (address, mask) = parse(text).ok_or_else(|| IpRangeError {
                text: text.to_owned(),
            })?;
            masks.entry(mask).or_default().insert(address & mask);
        }
        Ok(Self(masks))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = bits(address);
        let mut masks = self.0.iter();
        masks.any(|(mask, ranges)| ranges.contains(&(address & mask)))
    }
}

/// Returns the address and the mask of a range. Returns `None` if the text is no range.
fn parse(text: &str) -> Option<(u128, u128)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let before = if address.is_ipv4() { MAPPED } else { 0 };
    let length = match length {
        // `parse` would accept a sign.
        Some(length) if !length.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        Some(length) => length.parse::<u32>().ok()?.checked_add(before)?,
        None => FULL,
    };
    let behind = FULL.checked_sub(length)?;
    let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
    Some((bits(address), mask))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for IpRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not an IP address or a range of them: write it like 192.0.2.7, 192.0.2.0/24 \
             or 2001:db8::/32",
            self.text
        )
    }
}

impl Error for IpRangeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_range(range: &str, inside: &[&str], outside: &[&str]) {
        let ranges = IpRanges::parse([range]).unwrap();
        for (addresses, is_inside) in [(inside, true), (outside, false)] {
            for text in addresses {
                let address = text.parse().unwrap();
                assert_eq!(ranges.contains(address), is_inside, "{text} in {range}");
            }
        }
    }

    #[test]
    fn range_contains_the_addresses_with_its_prefix() {
        assert_range("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        assert_range("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6"]);
        assert_range(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255"],
            &["9.255.255.255", "11.0.0.0", "::a00:1", "a00::"],
        );
        assert_range("192.0.2.9/31", &["192.0.2.8", "192.0.2.9"], &["192.0.2.10"]);
        assert_range("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]);
        assert_range("2001:db8::7", &["2001:db8::7"], &["2001:db8::8"]);
        assert_range(
            "2001:db8::/33",
            &["2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"],
            &["2001:db8:8000::", "2001:db7:ffff::"],
        );
        assert_range("::/0", &["::", "ffff::", "192.0.2.7"], &[]);
    }

    #[test]
    fn ipv4_address_equals_its_mapped_ipv6_form() {
        assert_range("192.0.2.0/24", &["::ffff:192.0.2.1"], &["::192.0.2.1"]);
        assert_range("::ffff:192.0.2.0/120", &["192.0.2.1"], &["192.0.3.1"]);
    }

    #[test]
    fn ranges_are_alternatives() {
        let ranges = ["192.0.2.0/24", "192.0.2.7", "198.51.100.0/24", "::1"];
        let ranges = IpRanges::parse(ranges).unwrap();
        for (address, is_inside) in [
            ("192.0.2.8", true),
            ("198.51.100.1", true),
            ("::1", true),
            ("203.0.113.1", false),
        ] {
            assert_eq!(ranges.contains(address.parse().unwrap()), is_inside);
        }
        assert!(IpRanges::parse([""; 0]).unwrap().is_empty());
    }

    #[test]
    fn text_that_is_no_range_is_refused_and_shown() {
        for text in [
            "",
            "/",
            "/8",
            "office",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.0/",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/-1",
            "192.0.2.0/4294967295",
            "192.0.2.0/8/8",
            "192.0.2.0/255.255.255.0",
            "192.0.2.1-192.0.2.9",
            " 192.0.2.1",
            "2001:db8::/129",
            "fe80::1%eth0",
        ] {
            let error = IpRanges::parse(["192.0.2.7", text]).unwrap_err();
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("{text:?} is not")), "{shown}");
        }
    }
}
