//! Fisher's exact test: is one share of losses really higher than another?

/// Terms of a tail that are added at most; beyond some thousands they are below what a float tells apart.
const TERMS_MAX: u64 = 1 << 16;

/// The natural logarithm of `n!`: Stirling's series to its third term (error below 1e-9 from eight on), and by
/// multiplication before.
fn ln_factorial(n: u64) -> f64 {
    if n < 10 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let x = n as f64;
    let cube = x * x * x;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * cube)
        + 1.0 / (1260.0 * cube * x * x)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Lost probes among those sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Losses {
    /// Probes without an answer.
    pub lost: u64,
    /// All of them.
    pub sent: u64,
}

/// The one-sided p-value of "`a` loses no more than `b`": how probable it is, were both shares the same, that of
/// all losses at least as many as seen would fall to `a` (the upper tail of the hypergeometric distribution).
/// One where either sent nothing.
#[must_use]
pub fn p_of_more(a: Losses, b: Losses) -> f64 {
    let (sent, lost) = (a.sent + b.sent, a.lost + b.lost);
    if a.sent == 0 || b.sent == 0 || a.lost == 0 || a.lost > a.sent || b.lost > b.sent {
        return 1.0;
    }
    let most = a.sent.min(lost);
    let ln_all = ln_choose(sent, lost);
    let first = (ln_choose(a.sent, a.lost) + ln_choose(b.sent, lost - a.lost) - ln_all).exp();
    // Each term from the one before it: C(a, k+1) C(b, l-k-1) / (C(a, k) C(b, l-k)).
    let (mut term, mut sum) = (first, first);
    for k in (a.lost..most).take(TERMS_MAX as usize) {
        let up = (a.sent - k) as f64 * (lost - k) as f64;
        let down = (k + 1) as f64 * (b.sent + k + 1 - lost) as f64;
        term *= up / down;
        sum += term;
        if term < sum * 1e-15 {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(a: (u64, u64), b: (u64, u64)) -> f64 {
        p_of_more(Losses { lost: a.0, sent: a.1 }, Losses { lost: b.0, sent: b.1 })
    }

    #[test]
    fn the_lady_tasting_tea() {
        // Fisher 1935: three of four right, one of four wrong; 17/70.
        assert!((p((3, 4), (1, 4)) - 17.0 / 70.0).abs() < 1e-9);
        assert!((p((4, 4), (0, 4)) - 1.0 / 70.0).abs() < 1e-9);
        assert!((p((0, 10), (5, 10)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn tails_add_up_also_for_large_counts() {
        for (a, b) in [((5, 10), (0, 10)), ((30, 100), (20, 100)), ((500, 10_000), (450, 10_000))] {
            // P(X >= k) + P(X <= k) = 1 + P(X = k), and the lower tail is the other side's upper one.
            let (upper, lower) = (p(a, b), p(b, a));
            assert!(upper > 0.0 && upper < 0.6 && lower > 0.5, "{a:?} {b:?}: {upper} {lower}");
            assert!(upper + lower >= 1.0 && upper + lower < 1.3);
        }
        assert!(p((400_000, 1_000_000), (390_000, 1_000_000)) < 1e-9);
        assert!(p((390_000, 1_000_000), (400_000, 1_000_000)) > 0.999);
    }
}
