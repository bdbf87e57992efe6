//! Einsum with a constant matrix: the MatMul that it spells.
//!
//! `bsd,dhe->bshe` is a MatMul with the matrix `W[d, h*e]` whose last axis is taken apart again.

/// The axes that `...` stands for, as one letter.
const DOTS: char = '.';

/// Why an Einsum is no plain product of an input with a matrix. Axes are the letters of its equation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoProduct {
    #[error("its weight has axes that '...' stands for")]
    DotsInWeight,
    #[error("its weight has {stored} axes where the equation names {named}")]
    WeightAxes { stored: usize, named: usize },
    #[error("its weight is batched: another matrix for each place of axis '{0}'")]
    Batched(char),
    #[error("it sums over no axis of its weight")]
    NoSum,
    #[error("it sums axis '{0}' of one term alone")]
    SumOfOne(char),
    #[error("its weight is a vector")]
    Vector,
    #[error("its output has an axis of no term")]
    OutputAxis,
    #[error("axis '{0}' has not the same size in both terms")]
    Sizes(char),
    #[error("it is not known how many axes '...' stands for")]
    Dots,
    #[error("its input has {rank} axes where the equation names {named}")]
    InputAxes { rank: usize, named: usize },
    #[error("its input has fewer axes than the equation names")]
    FewAxes,
    #[error("it has {0} terms, not two")]
    Terms(usize),
    #[error("its equation holds '{}'", .0.escape_default())]
    Letter(char),
    #[error("axis '{0}' stands twice in one term")]
    Twice(char),
}

/// How an Einsum of two terms, one of them a constant, is a MatMul: `reshape(transpose(x)) @ reshape(transpose(W))`, and the
/// product again reshaped and transposed. A step that changes nothing is `None`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Projection {
    /// Axes of the input in their new order.
    pub(super) input_axes: Option<Vec<i64>>,
    /// Shape of the input before the product; 0 keeps a size.
    pub(super) input_shape: Option<Vec<i64>>,
    /// Axes of the constant in their new order: those that are summed over first.
    pub(super) weight_axes: Option<Vec<i64>>,
    /// Shape of the constant before the product: a matrix.
    pub(super) weight_shape: Option<Vec<i64>>,
    /// Shape of the product; 0 keeps a size.
    pub(super) output_shape: Option<Vec<i64>>,
    /// Axes of the product in the order of the Einsum's output.
    pub(super) output_axes: Option<Vec<i64>>,
}

/// What is known of the term that is no constant.
pub(super) struct Operand<'a> {
    /// Number of its axes.
    pub(super) rank: Option<usize>,
    /// Its sizes where known.
    pub(super) sizes: Option<&'a [Option<i64>]>,
}

impl Projection {
    /// The MatMul of `equation` whose term `weight` (0 or 1) is a constant of the sizes `weight_sizes`.
    ///
    /// # Errors
    /// Why it is no plain product of an input with a matrix.
    pub(super) fn of(
        equation: &str,
        weight: usize,
        weight_sizes: &[i64],
        operand: &Operand<'_>,
    ) -> Result<Self, NoProduct> {
        let ([first, second], mut output) = parse(equation)?;
        let (mut matrix, mut input) = if weight == 0 { (first, second) } else { (second, first) };
        if matrix.len() == weight_sizes.len() + 1 {
            // Its dots stand for no axis.
            matrix.retain(|axis| *axis != DOTS);
        }
        if matrix.contains(&DOTS) {
            return Err(NoProduct::DotsInWeight);
        }
        if matrix.len() != weight_sizes.len() {
            let (named, stored) = (matrix.len(), weight_sizes.len());
            return Err(NoProduct::WeightAxes { stored, named });
        }
        let free_dots = !spread_dots(&mut input, &mut output, operand.rank)?;

        let both: Vec<char> = input.iter().copied().filter(|axis| matrix.contains(axis)).collect();
        if let Some(axis) = both.iter().find(|axis| output.contains(axis)) {
            return Err(NoProduct::Batched(*axis));
        }
        if both.is_empty() {
            return Err(NoProduct::NoSum);
        }
        let alone = |axis: &&char| !output.contains(axis) && !both.contains(axis);
        if let Some(axis) = matrix.iter().chain(&input).find(alone) {
            return Err(NoProduct::SumOfOne(*axis));
        }
        let kept: Vec<char> = output.iter().copied().filter(|axis| input.contains(axis)).collect();
        let new: Vec<char> = output.iter().copied().filter(|axis| matrix.contains(axis)).collect();
        if new.is_empty() {
            return Err(NoProduct::Vector);
        }
        if kept.len() + new.len() != output.len() {
            return Err(NoProduct::OutputAxis);
        }
        let size = |axis: &char| place(&matrix, *axis).map_or(1, |place| weight_sizes[place]);
        for axis in &both {
            let known = place(&input, *axis).and_then(|place| operand.sizes?.get(place).copied().flatten());
            if size(axis) == 1 || known.is_some_and(|known| known != size(axis)) {
                return Err(NoProduct::Sizes(*axis));
            }
        }
        let product = |axes: &[char]| axes.iter().map(size).fold(1_i64, i64::saturating_mul);
        let keep = |more: &[i64]| [vec![0; kept.len()], more.to_vec()].concat();
        let (rows, columns) = (product(&both), product(&new));
        let (several_rows, several_columns) = (both.len() > 1, new.len() > 1);
        let projection = Self {
            input_axes: order(&input, &[&kept[..], &both].concat()),
            input_shape: several_rows.then(|| keep(&[rows])),
            weight_axes: order(&matrix, &[&both[..], &new].concat()),
            weight_shape: (several_rows || several_columns).then(|| vec![rows, columns]),
            output_shape: several_columns.then(|| keep(&new.iter().map(size).collect::<Vec<_>>())),
            output_axes: order(&[&kept[..], &new].concat(), &output),
        };
        let moves = projection.input_axes.is_some() || projection.output_axes.is_some();
        if free_dots && (moves || projection.input_shape.is_some() || projection.output_shape.is_some()) {
            return Err(NoProduct::Dots);
        }
        Ok(projection)
    }
}

/// The place of `axis` in a term.
fn place(term: &[char], axis: char) -> Option<usize> {
    term.iter().position(|other| *other == axis)
}

/// Where each axis of `to` is in `from`; `None` where they are in the same order.
fn order(from: &[char], to: &[char]) -> Option<Vec<i64>> {
    let places = to.iter().filter_map(|axis| place(from, *axis));
    (from != to).then(|| places.filter_map(|place| i64::try_from(place).ok()).collect())
}

/// Puts letters of their own in the place of `...`, if it is known for how many axes it stands; false where it is not.
fn spread_dots(input: &mut Vec<char>, output: &mut Vec<char>, rank: Option<usize>) -> Result<bool, NoProduct> {
    if !input.contains(&DOTS) {
        if output.contains(&DOTS) {
            output.retain(|axis| *axis != DOTS);
        }
        return match rank.filter(|rank| *rank != input.len()) {
            Some(rank) => Err(NoProduct::InputAxes {
                rank,
                named: input.len(),
            }),
            None => Ok(true),
        };
    }
    let Some(rank) = rank else { return Ok(false) };
    let hidden = (rank + 1).checked_sub(input.len()).ok_or(NoProduct::FewAxes)?;
    // Characters of the private area: no letter of an equation.
    let letters: Vec<char> = ('\u{E000}'..).take(hidden).collect();
    for term in [input, output] {
        if let Some(at) = place(term, DOTS) {
            term.splice(at..=at, letters.iter().copied());
        }
    }
    Ok(true)
}

/// The two terms of `equation` and its output, a letter an axis.
fn parse(equation: &str) -> Result<([Vec<char>; 2], Vec<char>), NoProduct> {
    let equation: String = equation.split_whitespace().collect::<String>().replace("...", ".");
    let (terms, output) = match equation.split_once("->") {
        Some((terms, output)) => (terms, Some(output)),
        None => (equation.as_str(), None),
    };
    let terms = terms.split(',').map(term).collect::<Result<Vec<_>, _>>()?;
    let count = terms.len();
    let terms: [Vec<char>; 2] = terms.try_into().map_err(|_| NoProduct::Terms(count))?;
    let output = match output {
        Some(output) => term(output)?,
        None => implied_output(&terms),
    };
    Ok((terms, output))
}

/// Letters that come once, in their order, behind the axes of `...`.
fn implied_output(terms: &[Vec<char>; 2]) -> Vec<char> {
    let all: Vec<char> = terms.concat();
    let count = |axis: char| all.iter().filter(|other| **other == axis).count();
    let mut once: Vec<char> = all
        .iter()
        .copied()
        .filter(|axis| *axis != DOTS && count(*axis) == 1)
        .collect();
    once.sort_unstable();
    if all.contains(&DOTS) {
        once.insert(0, DOTS);
    }
    once
}

fn term(text: &str) -> Result<Vec<char>, NoProduct> {
    let axes: Vec<char> = text.chars().collect();
    for (place, axis) in axes.iter().enumerate() {
        if !(axis.is_ascii_alphabetic() || *axis == DOTS) {
            return Err(NoProduct::Letter(*axis));
        }
        if axes[..place].contains(axis) {
            return Err(NoProduct::Twice(*axis));
        }
    }
    Ok(axes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection(equation: &str, sizes: &[i64], rank: Option<usize>) -> Result<Projection, NoProduct> {
        Projection::of(equation, 1, sizes, &Operand { rank, sizes: None })
    }

    #[test]
    fn a_plain_product_needs_no_step_but_the_product() {
        let plain = projection("bsd,df->bsf", &[8, 6], None).unwrap();
        let nothing = Projection {
            input_axes: None,
            input_shape: None,
            weight_axes: None,
            weight_shape: None,
            output_shape: None,
            output_axes: None,
        };
        assert_eq!(plain, nothing);
        assert_eq!(projection("...d,df->...f", &[8, 6], None).unwrap(), nothing);
        assert_eq!(projection("a b d , d f", &[8, 6], None).unwrap(), nothing);
    }

    #[test]
    fn several_axes_become_one_and_are_taken_apart_again() {
        let heads = projection("bsd,dhe->bshe", &[8, 2, 5], Some(3)).unwrap();
        assert_eq!(heads.weight_shape, Some(vec![8, 10]));
        assert_eq!(heads.output_shape, Some(vec![0, 0, 2, 5]));
        assert!(heads.input_axes.is_none() && heads.input_shape.is_none() && heads.weight_axes.is_none());
        let out = projection("bshe,hed->bsd", &[2, 5, 8], None).unwrap();
        assert_eq!(out.input_shape, Some(vec![0, 0, 10]));
        assert_eq!(out.weight_shape, Some(vec![10, 8]));
        let turned = projection("bsd,hed->bhse", &[2, 5, 8], None).unwrap();
        assert_eq!(turned.weight_axes, Some(vec![2, 0, 1]));
        assert_eq!(turned.output_axes, Some(vec![0, 2, 1, 3]));
        let dots = projection("...he,hed->...d", &[2, 5, 8], Some(5)).unwrap();
        assert_eq!(dots.input_shape, Some(vec![0, 0, 0, 10]));
    }

    #[test]
    fn what_is_no_plain_product_is_refused_with_the_reason() {
        for (equation, sizes, words) in [
            ("bhsd,hde->bhse", &[2, 8, 5][..], "batched"),
            ("bsd,fe->bsdfe", &[3, 4], "sums over no axis"),
            ("bsd,de->bs", &[8, 5], "one term alone"),
            ("bsd,d->bs", &[8], "a vector"),
            ("bsd,dd->bs", &[8, 8], "twice"),
            ("bsd,df,fe->bse", &[8, 6], "3 terms"),
            ("bsd,df->bsf", &[8, 6, 2], "3 axes"),
            ("...he,hed->...d", &[2, 5, 8], "how many axes"),
            ("bsd,df->bsf", &[1, 6], "same size"),
            ("bsd,d\u{7}->bs", &[8, 6], "\\u{7}"),
        ] {
            let why = projection(equation, sizes, None).unwrap_err().to_string();
            assert!(why.contains(words), "{equation}: {why}");
        }
        let known = Operand {
            rank: Some(3),
            sizes: Some(&[None, None, Some(1)]),
        };
        assert!(Projection::of("bsd,df->bsf", 1, &[8, 6], &known).is_err());
    }
}
