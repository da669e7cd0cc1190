//! Durations as people write and read them.

use std::time::Duration;

use jiff::SpanRelativeTo;
use jiff::fmt::friendly::SpanParser;

/// Reads `500ms`, `90s`, `1.5m`, `10min`, `1h30m` or `1d`; a bare number is seconds, a day is 24 hours.
///
/// # Errors
///
/// What is wrong with the text, to follow its value in a message.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err("must not be negative".to_owned());
    }
    let in_seconds = |text: &str| {
        let is_bare = text.ends_with(|char: char| char.is_ascii_digit());
        let text = if is_bare { format!("{text}s") } else { text.to_owned() };
        let span = SpanParser::new().parse_span(&text).ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(duration).ok()
    };
    in_seconds(text).ok_or_else(|| {
        // With short numbers it can be read, so a number is too large.
        let short: String = text.split_inclusive(|char: char| !char.is_ascii_digit()).map(without_digits).collect();
        let is_form = in_seconds(&short).is_some() && !text.contains('.');
        let problem = if is_form {
            "is too long; leave the flag out for no limit"
        } else {
            "is not a duration; write 500ms, 90s, 10m, 1h30m or 1d"
        };
        problem.to_owned()
    })
}

/// The last digit of a number, with what follows it.
fn without_digits(part: &str) -> &str {
    let digits = part.chars().take_while(char::is_ascii_digit).count();
    part.get(digits.saturating_sub(1)..).unwrap_or_default()
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

/// A limit: `10m`, `1h30m`, `90s` as `1m30s`, and below a minute as [`ahead`].
pub(crate) fn limit(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        return ahead(time);
    }
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    parts.iter().filter(|(amount, _)| *amount > 0).map(|(amount, unit)| format!("{amount}{unit}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_units_or_is_seconds() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5", 5_000),
            ("90", 90_000),
            ("0", 0),
            ("1.5s", 1_500),
            ("1.5", 1_500),
            ("2m", 120_000),
            ("0.5m", 30_000),
            ("10min", 600_000),
            ("10 minutes", 600_000),
            ("1h", 3_600_000),
            ("1.25h", 4_500_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1d", 86_400_000),
            ("1d12h", 129_600_000),
            ("2w", 1_209_600_000),
            ("007s", 7_000),
            (" 5s ", 5_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("0.000000001"), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn what_is_no_duration_is_refused_with_what_is_wrong() {
        for text in ["", " ", "s", "ms", "5x", "4m 4x", "1e3", ".5", "5.", "1.2.3", "1y", "2mo", "五", "5s ago", "a\nb"]
        {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem, "is not a duration; write 500ms, 90s, 10m, 1h30m or 1d", "{text:?}");
        }
        for text in ["-5s", "-5", " -1h30m"] {
            assert_eq!(parse(text).unwrap_err(), "must not be negative", "{text}");
        }
        for text in ["18446744073709551615", "18446744073709551615h", "99999999999999999999999999999999999999999999s"] {
            assert!(parse(text).unwrap_err().starts_with("is too long"), "{text}");
        }
    }

    #[test]
    fn a_limit_is_shown_as_it_is_typed() {
        for (text, shown) in [("600", "10m"), ("1h30m", "1h30m"), ("1d", "24h"), ("65", "1m5s"), ("1.5", "1.5s")] {
            assert_eq!(limit(parse(text).unwrap()), shown);
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
