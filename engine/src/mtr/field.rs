//! The columns of a hop's row, by mtr's letters.

use crate::mtr::model::Hop;

/// A column. The first fourteen are mtr's, letters and names; the others are ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "`title` says it")]
pub enum Field {
    Loss,
    Dropped,
    Received,
    Sent,
    Last,
    Best,
    Average,
    Worst,
    Deviation,
    GeometricMean,
    Jitter,
    JitterMean,
    JitterWorst,
    Interarrival,
    Median,
    P99,
    ReplyHopLimit,
}

/// What a field holds for one hop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// A share, 0 to 1.
    Share(f64),
    /// A number of probes, or a hop limit.
    Count(u64),
    /// Nanoseconds.
    Time(f64),
}

impl Value {
    /// As one number, for sorting.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Value::Share(number) | Value::Time(number) => number,
            Value::Count(count) => count as f64,
        }
    }
}

/// What mtr shows unless told otherwise.
pub const USUAL: &str = "LSNABWV";
/// What mtr shows for jitter.
pub const OF_JITTER: &str = "DRAGJMXI";

impl Field {
    /// All there are, mtr's first.
    pub const ALL: [Field; 17] = [
        Field::Loss,
        Field::Dropped,
        Field::Received,
        Field::Sent,
        Field::Last,
        Field::Best,
        Field::Average,
        Field::Worst,
        Field::Deviation,
        Field::GeometricMean,
        Field::Jitter,
        Field::JitterMean,
        Field::JitterWorst,
        Field::Interarrival,
        Field::Median,
        Field::P99,
        Field::ReplyHopLimit,
    ];

    const fn about(self) -> (char, &'static str, &'static str) {
        match self {
            Field::Loss => ('L', "Loss%", "lost share"),
            Field::Dropped => ('D', "Drop", "lost probes"),
            Field::Received => ('R', "Rcv", "answered probes"),
            Field::Sent => ('S', "Snt", "probes that left and have ended"),
            Field::Last => ('N', "Last", "newest round trip"),
            Field::Best => ('B', "Best", "shortest"),
            Field::Average => ('A', "Avg", "mean"),
            Field::Worst => ('W', "Wrst", "longest"),
            Field::Deviation => ('V', "StDev", "standard deviation"),
            Field::GeometricMean => ('G', "Gmean", "geometric mean"),
            Field::Jitter => ('J', "Jttr", "difference of the last two"),
            Field::JitterMean => ('M', "Javg", "mean of those differences"),
            Field::JitterWorst => ('X', "Jmax", "largest of them"),
            Field::Interarrival => ('I', "Jint", "interarrival jitter (RFC 3550)"),
            Field::Median => ('5', "p50", "median"),
            Field::P99 => ('9', "p99", "99th percentile"),
            Field::ReplyHopLimit => ('T', "RTTL", "hop limit of the answer"),
        }
    }

    /// The letter that chooses it.
    #[must_use]
    pub const fn letter(self) -> char {
        self.about().0
    }

    /// The head of its column, which is mtr's JSON key as well.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.about().1
    }

    /// What it is, in some words.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.about().2
    }

    /// The value for a hop.
    #[must_use]
    pub fn of(self, hop: &Hop) -> Value {
        let rtt = &hop.rtt;
        match self {
            Field::Loss => Value::Share(hop.loss()),
            Field::Dropped => Value::Count(hop.lost()),
            Field::Received => Value::Count(hop.received),
            Field::Sent => Value::Count(hop.sent),
            Field::Last => Value::Time(rtt.last_ns() as f64),
            Field::Best => Value::Time(rtt.best_ns() as f64),
            Field::Average => Value::Time(rtt.mean_ns()),
            Field::Worst => Value::Time(rtt.worst_ns() as f64),
            Field::Deviation => Value::Time(rtt.deviation_ns()),
            Field::GeometricMean => Value::Time(rtt.geometric_mean_ns()),
            Field::Jitter => Value::Time(rtt.jitter_ns() as f64),
            Field::JitterMean => Value::Time(rtt.jitter_mean_ns()),
            Field::JitterWorst => Value::Time(rtt.jitter_worst_ns() as f64),
            Field::Interarrival => Value::Time(rtt.interarrival_ns()),
            Field::Median => Value::Time(rtt.quantile_ns(0.5) as f64),
            Field::P99 => Value::Time(rtt.quantile_ns(0.99) as f64),
            Field::ReplyHopLimit => {
                Value::Count(hop.ranked().first().map_or(0, |responder| responder.reply_hop_limit.into()))
            }
        }
    }
}

/// Reads a choice of columns as mtr takes it; blanks and underscores stand for gaps there, and are left out.
///
/// # Errors
/// The letter that is none, or says that there is none at all.
pub fn parse(letters: &str) -> Result<Vec<Field>, FieldError> {
    let mut fields = Vec::new();
    for letter in letters.chars().filter(|letter| !matches!(letter, ' ' | '_')) {
        let upper = letter.to_ascii_uppercase();
        let known = Field::ALL.into_iter().find(|field| field.letter() == upper);
        let field = known.ok_or(FieldError::Unknown(letter))?;
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    if fields.is_empty() { Err(FieldError::None) } else { Ok(fields) }
}

/// Why a choice of columns is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FieldError {
    /// No field has this letter.
    #[error("'{}' is no field: use letters of {}", .0.escape_default(), letters())]
    Unknown(char),
    /// Nothing chosen.
    #[error("no field: use letters of {}, as in {USUAL}", letters())]
    None,
}

/// Every field's letter.
#[must_use]
pub fn letters() -> String {
    Field::ALL.iter().map(|field| field.letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_choose_and_say_what_is_wrong() {
        let usual = parse(USUAL).unwrap();
        assert_eq!(usual.first(), Some(&Field::Loss));
        assert_eq!(parse("LS NABWV"), Ok(usual));
        assert_eq!(parse("llss"), Ok(vec![Field::Loss, Field::Sent]));
        assert_eq!(parse(&letters()), Ok(Field::ALL.to_vec()));
        let error = parse("LQ").unwrap_err().to_string();
        assert_eq!(error, "'Q' is no field: use letters of LDRSNBAWVGJMXI59T");
        assert!(parse("__").unwrap_err().to_string().ends_with("as in LSNABWV"));
        assert!(parse("\u{1b}[2J").unwrap_err().to_string().starts_with("'\\u{1b}'"));
    }
}
