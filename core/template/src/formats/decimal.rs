//! Decimal arithmetic of floats, as sprig's `addf` and its like do it: 0.1 and 0.2 are 0.3.

/// A number as digits and a power of ten.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    digits: i128,
    exponent: i32,
}

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// Digits behind the point of a quotient.
const QUOTIENT_DIGITS: i32 = 16;

/// `first` with each of `others`, from left to right; `None` for a division by zero.
pub(crate) fn fold(first: f64, others: &[f64], operation: Operation) -> Option<f64> {
    let Some(mut total) = Decimal::from_float(first) else { return in_floats(first, others, operation) };
    for other in others {
        if *other == 0.0 && operation == Operation::Divide {
            return None;
        }
        let next = Decimal::from_float(*other).and_then(|other| total.with(other, operation));
        let Some(next) = next else { return in_floats(first, others, operation) };
        total = next;
    }
    Some(total.to_float())
}

/// Where the digits are too many for exact arithmetic.
fn in_floats(first: f64, others: &[f64], operation: Operation) -> Option<f64> {
    others.iter().try_fold(first, |total, other| match operation {
        Operation::Add => Some(total + other),
        Operation::Subtract => Some(total - other),
        Operation::Multiply => Some(total * other),
        Operation::Divide => (*other != 0.0).then(|| total / other),
    })
}

impl Decimal {
    fn from_float(value: f64) -> Option<Self> {
        let written = format!("{value:e}");
        let (mantissa, exponent) = written.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Some(Self { digits, exponent })
    }

    fn with(self, other: Self, operation: Operation) -> Option<Self> {
        match operation {
            Operation::Add => self.plus(other),
            Operation::Subtract => self.plus(Self { digits: -other.digits, ..other }),
            Operation::Multiply => Some(Self {
                digits: self.digits.checked_mul(other.digits)?,
                exponent: self.exponent.checked_add(other.exponent)?,
            }),
            Operation::Divide => self.divided(other),
        }
    }

    fn plus(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let digits = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Self { digits, exponent })
    }

    fn at(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        self.digits.checked_mul(10_i128.checked_pow(shift)?)
    }

    fn divided(self, other: Self) -> Option<Self> {
        // What the quotient's digits are counted from.
        let shift = self.exponent.checked_sub(other.exponent)?.checked_add(QUOTIENT_DIGITS)?;
        let (mut above, mut below) = (self.digits, other.digits);
        let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
        if shift >= 0 {
            above = above.checked_mul(factor)?;
        } else {
            below = below.checked_mul(factor)?;
        }
        let (quotient, rest) = (above / below, above % below);
        let is_up = rest.unsigned_abs().checked_mul(2)? >= below.unsigned_abs();
        let sign = if (above < 0) == (below < 0) { 1 } else { -1 };
        Some(Self { digits: quotient + if is_up { sign } else { 0 }, exponent: -QUOTIENT_DIGITS })
    }

    fn to_float(self) -> f64 {
        format!("{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        let check = |first, others: &[f64], operation, expected| assert_eq!(fold(first, others, operation), expected);
        check(0.1, &[0.2], Operation::Add, Some(0.3));
        check(1.1, &[0.1], Operation::Subtract, Some(1.0));
        check(1.1, &[1.1], Operation::Multiply, Some(1.21));
        check(10.0, &[4.0], Operation::Divide, Some(2.5));
        check(1.0, &[3.0], Operation::Divide, Some(0.3333333333333333));
        check(1.0, &[0.0], Operation::Divide, None);
        check(1e300, &[1e300], Operation::Multiply, Some(f64::INFINITY));
    }
}
