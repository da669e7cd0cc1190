//! `NO_PROXY`: which destinations are reached without the proxy.

use std::net::IpAddr;

use cvm_watch_driver::BaseUrl;

/// Returns whether an entry of this list matches the destination.
///
/// Entries are separated by commas or blanks. An entry is `*`, an IP address, a network such as
/// `10.0.0.0/8`, a domain, which includes its subdomains (`example.com`, `.example.com`), or
/// `*.example.com` for the subdomains alone; all but `*` and networks can be followed by a port.
pub(crate) fn matches(list: &str, destination: &BaseUrl) -> bool {
    let host = destination.host().trim_end_matches('.');
    let address = host.parse::<IpAddr>().ok();
    list.split([',', ' ', '\t', '\r', '\n']).any(|entry| {
        let (name, port) = split_port(entry);
        if name.is_empty() || port.is_some_and(|port| port != destination.port()) {
            return false;
        }
        name == "*" || address.map_or_else(|| is_domain(name, host), |address| is_address(name, address))
    })
}

/// An entry without brackets, and the port at its end.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        // With a second colon it is an IPv6 address.
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn is_domain(entry: &str, host: &str) -> bool {
    let entry = entry.trim_end_matches('.');
    let (domain, itself) = match entry.strip_prefix("*.") {
        Some(domain) => (domain, false),
        None => (entry.trim_start_matches('.'), true),
    };
    let Some(start) = host.len().checked_sub(domain.len()) else { return false };
    let (Some(front), Some(end)) = (host.get(..start), host.get(start..)) else { return false };
    !domain.is_empty()
        && end.eq_ignore_ascii_case(domain)
        && if front.is_empty() { itself } else { front.ends_with('.') }
}

fn is_address(entry: &str, address: IpAddr) -> bool {
    let Some((network, length)) = entry.split_once('/') else { return entry.parse() == Ok(address) };
    let Ok(length) = length.parse::<u32>() else { return false };
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            length <= 32 && (network.to_bits() ^ address.to_bits()).checked_shr(32 - length).unwrap_or(0) == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) => {
            length <= 128 && (network.to_bits() ^ address.to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_matches_as_the_table_in_the_documentation_says() {
        for (list, destination, expected) in [
            ("", "https://x.example", false),
            (" , ,", "https://x.example", false),
            ("*", "https://x.example", true),
            ("*", "https://10.1.2.3", true),
            // Domains.
            ("x.example", "https://x.example", true),
            ("X.Example", "https://x.example", true),
            ("x.example", "https://a.b.x.example", true),
            (".x.example", "https://a.x.example", true),
            (".x.example", "https://x.example", true),
            ("*.x.example", "https://a.x.example", true),
            ("*.x.example", "https://x.example", false),
            ("x.example.", "https://x.example", true),
            ("x.example", "https://x.example.", true),
            (".x.example.", "https://a.x.example.", true),
            ("example", "https://x.example", true),
            ("ample", "https://x.example", false),
            ("y.x.example", "https://x.example", false),
            (".", "https://x.example", false),
            ("*.", "https://x.example", false),
            ("*x.example", "https://ax.example", false),
            // Separators.
            ("y.example,x.example", "https://x.example", true),
            ("y.example, x.example", "https://x.example", true),
            ("y.example x.example", "https://x.example", true),
            ("y.example\tx.example\n", "https://x.example", true),
            // Ports.
            ("x.example:443", "https://x.example", true),
            ("x.example:443", "https://x.example:8443", false),
            ("x.example:8443", "https://a.x.example:8443", true),
            ("10.1.2.3:81", "http://10.1.2.3:81", true),
            ("10.1.2.3:81", "http://10.1.2.3", false),
            ("[2001:db8::1]:81", "http://[2001:db8::1]:81", true),
            ("[2001:db8::1]:81", "http://[2001:db8::1]", false),
            ("x.example:port", "https://x.example", false),
            // Addresses and networks.
            ("10.1.2.3", "https://10.1.2.3", true),
            ("10.1.2.3", "https://10.1.2.4", false),
            ("2001:db8::1", "https://[2001:db8::1]:9", true),
            ("[2001:DB8:0::1]", "https://[2001:db8::1]:9", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.9.9.9/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.1.2.2/31", "https://10.1.2.3", true),
            ("10.1.2.3/32", "https://10.1.2.2", false),
            ("0.0.0.0/0", "https://10.1.2.3", true),
            ("10.0.0.0/33", "https://10.0.0.0", false),
            ("10.0.0.0/8", "https://[2001:db8::1]", false),
            ("2001:db8::/32", "https://[2001:db8::1]:9", true),
            ("2001:db8::/32", "https://[2001:db9::1]:9", false),
            ("::/0", "https://[2001:db9::1]", true),
            ("10.0.0.0/8", "https://10.example", false),
            ("2.3", "https://10.1.2.3", false),
        ] {
            assert_eq!(matches(list, &BaseUrl::parse(destination).unwrap()), expected, "{list:?} {destination}");
        }
    }
}
