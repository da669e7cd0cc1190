//! Parses HTTP dates (RFC 9110, section 5.6.7) in all three forms, to seconds since 1970.
//!
//! `Retry-After` may carry one. The `httpdate` crate needs std, so it is only the reference in the tests.

use crate::time::UnixSeconds;

/// Parses an HTTP date; `None` for anything else, for a day that does not exist, and before 1970.
pub(crate) fn parse(text: &str) -> Option<UnixSeconds> {
    let mut words = text.split_ascii_whitespace();
    let weekday = words.next()?;
    let date = if let Some(day) = weekday.strip_suffix(',') {
        if day.len() == 3 { imf_fixdate(&mut words) } else { rfc850(&mut words) }
    } else {
        asctime(&mut words)
    }?;
    words.next().is_none().then_some(())?;
    date.unix_seconds()
}

struct Date<'a> {
    year: u64,
    month: &'a str,
    day: u64,
    clock: &'a str,
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Date<'a>> {
    let (day, month, year) = (number(words.next()?)?, words.next()?, number(words.next()?)?);
    let clock = words.next()?;
    (words.next()? == "GMT").then_some(Date { year, month, day, clock })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`; two-digit years below 70 are of this century.
fn rfc850<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Date<'a>> {
    let mut parts = words.next()?.split('-');
    let (day, month, year) = (number(parts.next()?)?, parts.next()?, number(parts.next()?)?);
    let clock = words.next()?;
    // A four-digit year belongs to another form.
    (year < 100).then_some(())?;
    let year = if year < 70 { 2000 + year } else { 1900 + year };
    (words.next()? == "GMT" && parts.next().is_none()).then_some(Date { year, month, day, clock })
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Date<'a>> {
    let (month, day) = (words.next()?, number(words.next()?)?);
    let (clock, year) = (words.next()?, number(words.next()?)?);
    Some(Date { year, month, day, clock })
}

fn number(digits: &str) -> Option<u64> {
    (digits.len() <= 4 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

impl Date<'_> {
    fn unix_seconds(&self) -> Option<UnixSeconds> {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS.iter().position(|name| *name == self.month)? as u64 + 1;
        let mut clock = self.clock.split(':').map(number);
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let month_days = match month {
            2 => 28 + u64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // A leap second (60) reads as the second after it.
        let valid = self.year >= 1970
            && (1..=month_days).contains(&self.day)
            && hour < 24
            && minute < 60
            && second <= 60
            && clock.next().is_none();
        valid.then(|| {
            // Days since 1970. Years are counted from March, so that the leap day is the last day.
            let (year, month) = if month > 2 { (self.year, month - 3) } else { (self.year - 1, month + 9) };
            let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + self.day;
            UnixSeconds((days - 719_469) * 86_400 + hour * 3600 + minute * 60 + second)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn the_three_forms_name_the_same_second() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(parse(text), Some(UnixSeconds(784_111_777)), "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_of_this_century_or_the_last() {
        assert_eq!(parse("Sunday, 06-Nov-69 08:49:37 GMT"), parse("Sun, 06 Nov 2069 08:49:37 GMT"));
        assert_eq!(parse("Sunday, 06-Nov-70 08:49:37 GMT"), parse("Sun, 06 Nov 1970 08:49:37 GMT"));
        assert_eq!(parse("Sunday, 06-Nov-2050 08:49:37 GMT"), None);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun,",
            "120",
            "-5",
            "Sun, 31 Feb 2026 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT again",
            "Sun, 0x Nov 1994 08:49:37 GMT",
            "Sun, 29 Feb 2100 00:00:00 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn it_agrees_with_the_httpdate_crate_over_three_centuries() {
        let mut second: u64 = 0;
        while second < 9_400_000_000 {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!(parse(&text), Some(UnixSeconds(second)), "{text}");
            second += 86_399 * 11 + 1;
        }
    }
}
