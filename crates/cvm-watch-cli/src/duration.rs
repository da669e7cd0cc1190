//! Durations as people write and read them.

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Reads `500ms`, `5s`, `1.5m` or `1h`; a bare number is seconds. Finer than a nanosecond is cut
/// off.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|char: char| !(char.is_ascii_digit() || char == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit_nanos = match unit {
        "ms" => 1_000_000,
        "" | "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3600 * NANOS_PER_SECOND,
        _ => return Err(form()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return Err(form());
    }
    let too_long = || "is too long; leave the flag out for no limit".to_owned();
    let whole: u64 = whole.parse().map_err(|_| too_long())?;
    // Twelve digits of an hour are finer than a nanosecond.
    let digits = fraction.get(..12).unwrap_or(fraction);
    let fraction = digits.parse::<u128>().map_err(|_| form())? * unit_nanos / 10_u128.pow(exponent(digits));
    let nanos = u128::from(whole) * unit_nanos + fraction;
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| too_long())?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or_default();
    Ok(Duration::new(seconds, rest))
}

fn exponent(digits: &str) -> u32 {
    u32::try_from(digits.len()).unwrap_or_default()
}

fn form() -> String {
    "must be a duration such as 500ms, 5s, 1.5m or 1h".to_owned()
}

/// A time that has passed, to the second: `7s`, `1m05s`, `2h00m`.
pub(crate) fn passed(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

/// A time to wait: as [`passed`], and below a minute to the tenth of a second: `0s`, `0.2s`, `5s`.
pub(crate) fn ahead(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (60.., _) => passed(time),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, tenth) => format!("{seconds}.{tenth}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_seconds() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5", 5_000),
            ("0", 0),
            ("1.5s", 1_500),
            ("1.5", 1_500),
            ("2m", 120_000),
            ("0.5m", 30_000),
            ("1h", 3_600_000),
            ("1.25h", 4_500_000),
            ("007s", 7_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("0.000000001"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse("0.00000000099999"), Ok(Duration::ZERO));
        assert_eq!(parse("0.0000000003h"), Ok(Duration::from_nanos(1_080)));
        assert_eq!(parse("18446744073709551615"), Ok(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_form() {
        for text in
            ["", " ", "s", "ms", "5 s", " 5", "5 ", "5S", "5d", "-5s", "+5", "1e3", ".5", "5.", "1.2.3", "1m30s", "五"]
        {
            assert_eq!(parse(text), Err(form()), "{text:?}");
        }
        for text in ["18446744073709551616", "18446744073709551615h", "99999999999999999999999999999999999999999999s"] {
            assert!(parse(text).unwrap_err().starts_with("is too long"), "{text}");
        }
    }

    #[test]
    fn times_are_short_to_read() {
        let shown = |millis| (passed(Duration::from_millis(millis)), ahead(Duration::from_millis(millis)));
        for (millis, before, after) in [
            (0, "0s", "0s"),
            (240, "0s", "0.2s"),
            (5_000, "5s", "5s"),
            (5_440, "5s", "5.4s"),
            (59_960, "59s", "59s"),
            (65_900, "1m05s", "1m05s"),
            (7_200_000, "2h00m", "2h00m"),
        ] {
            assert_eq!(shown(millis), (before.to_owned(), after.to_owned()), "{millis}");
        }
    }
}
