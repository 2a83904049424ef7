//! Nanoseconds since the Unix epoch as RFC 3339 in UTC.

/// Bytes of `2026-01-02T03:04:05.123456789Z`.
pub(crate) const LEN: usize = 30;

/// Renders times. Rows of one batch share their second, most often, so the civil part is kept.
#[derive(Debug)]
pub(crate) struct Clock {
    second: u64,
    text: [u8; LEN],
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" }
    }
}

/// A whole second since the Unix epoch as RFC 3339 in UTC.
#[must_use]
pub fn unix_seconds(seconds: u64) -> String {
    let text = *Clock::default().rfc3339(seconds.min(u64::MAX / 1_000_000_000) * 1_000_000_000);
    String::from_utf8_lossy(&text[..19]).into_owned() + "Z"
}

impl Clock {
    /// The text of a time, which is before the year 2555 whatever the number.
    pub(crate) fn rfc3339(&mut self, unix_ns: u64) -> &[u8; LEN] {
        let (second, mut nanos) = (unix_ns / 1_000_000_000, (unix_ns % 1_000_000_000) as u32);
        if second != self.second {
            self.civil(second);
        }
        for digit in self.text[20..29].iter_mut().rev() {
            *digit = b'0' + (nanos % 10) as u8;
            nanos /= 10;
        }
        &self.text
    }

    fn civil(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = date(second / 86_400);
        let of_day = second % 86_400;
        let fields = [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, of_day / 3600),
            (14, of_day / 60 % 60),
            (17, of_day % 60),
        ];
        for (at, value) in fields {
            self.text[at] = b'0' + (value / 10) as u8;
            self.text[at + 1] = b'0' + (value % 10) as u8;
        }
    }
}

/// Year, month and day of a number of days since 1970-01-01, by the rules of the Gregorian calendar. Years are
/// counted from March: the day that comes and goes is the last one then.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    // Less the leap days that lie behind: one in 4 years, none in 100, one in 400.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to July are 153 days, and so are August to December.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn expected(unix_ns: u64) -> String {
        format!("{:.9}", Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap())
    }

    #[test]
    fn every_day_until_2554_is_that_of_jiff() {
        let mut clock = Clock::default();
        for day in 0..u64::MAX / 86_400_000_000_000 {
            let unix_ns = day * 86_400_000_000_000 + day;
            assert_eq!(str::from_utf8(clock.rfc3339(unix_ns)).unwrap(), expected(unix_ns));
        }
    }

    proptest! {
        #[test]
        fn any_time_is_that_of_jiff(times in proptest::collection::vec(any::<u64>(), 1..20)) {
            let mut clock = Clock::default();
            for unix_ns in times {
                prop_assert_eq!(str::from_utf8(clock.rfc3339(unix_ns)).unwrap(), expected(unix_ns));
            }
        }
    }
}
